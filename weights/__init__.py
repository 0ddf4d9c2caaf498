"""Small trained checkpoints that ship with structkit, installed as `structkit_weights`.  Each comes with a card beside it."""
