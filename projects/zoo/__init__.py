"""Every model config of mmpose's package, tried on random data."""
