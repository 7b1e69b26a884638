"""The name by which code asks whether torch compiles it."""

import torch

from gtpt_mm.compat.stack import compile_api


def test_nothing_is_done_where_the_name_is():
    assert compile_api.missing() == ''


def test_old_torch_gets_the_name(monkeypatch):
    monkeypatch.delattr(torch.compiler, 'is_compiling')
    monkeypatch.setattr(torch._dynamo, 'is_compiling', lambda: 'asked')
    assert torch.__version__ in compile_api.missing()
    compile_api.repair()
    assert torch.compiler.is_compiling() == 'asked'
    del torch.compiler.is_compiling  # monkeypatch puts torch's own back
