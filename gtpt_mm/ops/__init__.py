"""Operators in plain torch, which compat also offers under mmcv's names."""
