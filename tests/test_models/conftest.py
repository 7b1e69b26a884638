"""Tools that several tests of models share."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def tools():
    """Small ViTPose++ models, samples of six datasets, names of tensors."""
    spec = importlib.util.spec_from_file_location(
        'vitpose_plus', Path(__file__).with_name('vitpose_plus.py')
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
