"""The training-free patch engine: analogies, samples, other sizes, repaints, and videos."""
