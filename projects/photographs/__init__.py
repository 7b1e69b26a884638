"""The models on real photographs: rows of one budget, claims of the papers."""
