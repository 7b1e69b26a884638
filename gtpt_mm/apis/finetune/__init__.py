"""Fine-tune a model on an annotated set of one's own."""
