"""Permuted AdaIN: the layer, a classifier and a segmenter that learn with it."""
