"""The pages of the command line, one file a verb: its arguments, its options and its help.

`structkit_cli.app` finds them by themselves: a verb is a function of its file's name, and what a file names TRAININGS
or SCORES belongs to the groups train and score.
"""
