"""Check annotations, skeletons and samples when they are read."""
