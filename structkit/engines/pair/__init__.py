"""Structural analogy from a single image pair (Benaim et al., CGF 2020): the model and its training."""
