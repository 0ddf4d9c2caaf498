"""The pages of the command line, one file a verb: its arguments, its options and its help."""
