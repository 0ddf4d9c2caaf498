"""The trainings, from the pictures and videos of a user to a checkpoint: one file for each kind of training data."""
