"""Mask-based unsupervised content transfer (Mokady et al., ICLR 2020): the model and its training."""
