"""One file per published system, or per training-free engine."""
