"""Default settings of `structkit score`."""

TOLERANCE = 8  # levels of 255: channels that differ by no more are equal but for noise, such as a lossy file's
STEADY = 1000  # pictures of a domain, from where on the figures of codes are steady
PROBED = 2000  # pictures of a domain, at most, whose codes are probed: more say no more

CLIP_WIDTH = 128  # px, to which clips are reduced before their patches are compared
CLIP_QUERIES, CLIP_KEYS = 400, 25_000  # patches of a clip that are drawn, and those in which each is looked for
FEATURE_SUFFIXES = (".npy", ".safetensors")  # of files of features
