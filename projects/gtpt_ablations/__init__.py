"""Ablations of GTPT."""
