"""Numerical kernels shared by the engines; each has a plain PyTorch reference that stays as its oracle."""
