"""New clips from a single clip (HP-VAE-GAN, Gur et al., NeurIPS 2020): the model and its training."""
