"""Plain torch: tensors in, tensors out; no config, no registry."""
