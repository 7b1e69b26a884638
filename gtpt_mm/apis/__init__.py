"""What a notebook calls."""

from gtpt_mm.convert import add_dataset, split_config, split_model

__all__ = ['add_dataset', 'split_config', 'split_model']
