"""ViTPose beside its peers."""
