"""Fixtures of the drawing's tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope='session')
def real_samples() -> Path:
    """The folder of real annotation files, beside the project."""
    shared = Path(os.environ.get('GTPT_MM_SHARED', ROOT.parent / 'shared'))
    path = shared / 'data/real'
    if not path.is_dir():
        reason = f'no real samples at {path}; GTPT_MM_SHARED points there'
        if os.environ.get('GTPT_MM_REQUIRE_GOLDENS'):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
