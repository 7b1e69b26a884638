"""Group Pose beside its peers."""
