"""The one training loop: an engine hands over its stages and its step.

Progress, resume, checkpoints and processes are done here.
"""

RESUME = "resume"  # the kind of the state that an unfinished training keeps
# The beginning of a note on results, where the training of their model found signs that it is a bad one.
DOUBTFUL = "the model is doubtful: "
