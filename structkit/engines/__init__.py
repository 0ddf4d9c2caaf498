"""The engines: one folder for each published system, and one for the training-free patch engine."""
