"""The one training loop: an engine hands over its stages and its step; progress, resume, checkpoints and processes are done here."""

RESUME = "resume"  # the kind of the state that an unfinished training keeps
