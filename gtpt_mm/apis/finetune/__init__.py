"""Fine-tune a model on your own annotated set."""
