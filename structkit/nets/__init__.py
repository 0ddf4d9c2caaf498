"""Building blocks of more than one engine."""
