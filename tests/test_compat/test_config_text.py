"""A config's text is what yapf makes of it, and is made once."""

import pytest
from mmengine.config import Config
from mmengine.config import config as mmengine_config

from gtpt_mm.compat.stack import config_text


@pytest.fixture(autouse=True)
def _with_yapf(monkeypatch):
    """The other tests go without it."""
    shim = mmengine_config.FormatCode.__wrapped__
    monkeypatch.setattr(mmengine_config, 'FormatCode', shim)


def test_text_is_that_of_yapf_and_is_laid_out_once(monkeypatch):
    original = mmengine_config.FormatCode.__wrapped__  # the shim is installed
    calls = []

    def count(text, *args, **kwargs):
        calls.append(text)
        return original(text, *args, **kwargs)

    cfg = Config(dict(model=dict(type='A', sizes=list(range(30))), b='x' * 60))
    monkeypatch.setattr(mmengine_config, 'FormatCode', original)
    expected = cfg.pretty_text
    monkeypatch.setattr(
        mmengine_config, 'FormatCode', config_text.remember(count)
    )
    assert [cfg.pretty_text for _ in range(3)] == [expected] * 3
    assert len(calls) == 1
    cfg.model.type = 'B'
    assert cfg.pretty_text == expected.replace("'A'", "'B'")
    assert len(calls) == 2


def test_other_calls_reach_yapf():
    """Styles by name or none, and options that change the result."""
    lay_out = mmengine_config.FormatCode
    original = lay_out.__wrapped__
    text = 'a = dict(b=1,\n   c=2)\nd=3\n'
    for args, options in (
        ((), {}),
        ((), dict(style_config='google')),
        ((), dict(style_config=dict(based_on_style='pep8'))),
        ((), dict(style_config=dict(based_on_style='google'))),
        ((), dict(style_config=dict(based_on_style='pep8'), lines=[(3, 3)])),
        (('name.py',), dict(style_config=dict(based_on_style='pep8'))),
    ):
        assert lay_out(text, *args, **options) == original(
            text, *args, **options
        )
