"""Measures of the quality of a result, in numbers that need no other picture than those at hand."""
