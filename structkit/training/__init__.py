"""The one training loop: an engine hands over its stages and its step.

Progress, resume, checkpoints and processes are done here.
"""

RESUME = "resume"  # the kind of the state that an unfinished training keeps
DOUBTFUL = (
    "the model is doubtful: "  # how a note on its results begins, where its training found signs that it is a bad one
)
