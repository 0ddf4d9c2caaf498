"""SpeedNet (Benaim et al., CVPR 2020): the speediness of videos, and what is made of it."""
