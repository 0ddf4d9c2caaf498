"""The material that engines learn from, as tensors."""
