"""Fixtures for the shims."""

import logging

import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def log(caplog):
    """Return what mmengine's current logger says."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO)
    yield caplog
    logger.removeHandler(caplog.handler)
