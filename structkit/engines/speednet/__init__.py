"""SpeedNet (Benaim et al., CVPR 2020): whether a clip plays at its natural speed; the model and its training."""
