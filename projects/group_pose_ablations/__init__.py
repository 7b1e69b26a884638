"""Ablations of Group Pose."""
