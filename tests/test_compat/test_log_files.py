"""Log files that another package has closed."""

import logging.config
import shutil

import pytest
from mmengine.logging import MMLogger
from mmengine.model import BaseModule


@pytest.fixture
def logger(tmp_path):
    """mmengine's logger of a training, the current one."""
    before = MMLogger.get_current_instance()
    (tmp_path / 'run').mkdir()
    yield MMLogger.get_instance(
        'log_files', log_file=str(tmp_path / 'run/a.log'), log_level='INFO'
    )
    MMLogger._instance_dict.pop('log_files')
    assert MMLogger.get_current_instance() is before


def close_all():
    """Do what uvicorn does when the page in the browser starts."""
    logging.config.dictConfig(dict(version=1, disable_existing_loggers=False))


def test_lines_go_on_at_the_end_of_the_file(logger, tmp_path):
    logger.info('first')
    close_all()
    assert logger.handlers[-1].stream is None
    logger.info('second')
    text = (tmp_path / 'run/a.log').read_text()
    assert text.index('first') < text.index('second')


def test_next_model_is_initialised(logger, tmp_path):
    close_all()
    BaseModule(init_cfg=dict(type='Normal', layer='Linear')).init_weights()
    assert 'parameter' in (tmp_path / 'run/a.log').read_text()


def test_a_file_whose_folder_is_gone_is_left(logger, tmp_path):
    close_all()
    shutil.rmtree(tmp_path / 'run')
    logger.info('only to the screen')
    assert not (tmp_path / 'run').exists()
