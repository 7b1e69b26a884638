"""Ablations of HEViTPose, and choices that no printed number determines."""
