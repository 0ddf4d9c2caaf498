"""What engines learn from, as tensors."""
