"""Default settings of `structkit score`."""

TOLERANCE = 8  # levels of 255: channels that differ by no more are equal but for noise, such as a lossy file's
STEADY = 1000  # pictures of a domain, from where on the figures of codes are steady
PROBED = 2000  # pictures of a domain, at most, whose codes are probed: more say no more
