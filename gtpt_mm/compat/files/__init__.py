"""Write checkpoints and other files whole; check them when read."""
