"""Pictures, clips and sound on disk <-> arrays and tensors; every limit and every safe write lives here."""
