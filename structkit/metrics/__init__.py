"""How good a result is, in numbers that need no other picture than those at hand."""
