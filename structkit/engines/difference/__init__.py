"""Domain intersection and domain difference (Benaim et al., ICCV 2019): the model and its training."""
