"""What a notebook calls."""

from .multi_dataset import add_dataset, make_single_config, select_dataset

__all__ = ['add_dataset', 'make_single_config', 'select_dataset']
