"""mmpretrain beside a transformers that it does not know."""

import importlib.machinery
import os
import subprocess
import sys

import pytest

from gtpt_mm.compat.stack import mmpretrain_api

CODE = """
import gtpt_mm, mmdet.models
from gtpt_mm import compat
from mmpose.registry import MODELS
print(bool(compat.applied()['mmpretrain_api']))
print(MODELS.get('mmpretrain.VisionTransformer').__name__)
try:
    MODELS.get('mmpretrain.BlipCaption')()
except ImportError as error:
    print('refused')
"""


def test_vision_transformers_can_be_built():
    for name in ('mmpretrain', 'transformers'):
        pytest.importorskip(name)
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', CODE],
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )
    expected = ['True', 'VisionTransformer', 'refused']
    assert done.stdout.split() == expected, done.stderr


@pytest.mark.parametrize(
    ('source', 'old_enough'),
    [
        ('from .pytorch_utils import apply_chunking_to_forward', True),
        ('class PreTrainedModel: ...', False),
        (None, True),
    ],
)
def test_only_a_new_transformers_is_in_the_way(
    source, old_enough, tmp_path, monkeypatch
):
    spec = None
    if source:
        (tmp_path / 'modeling_utils.py').write_text(source)
        spec = importlib.machinery.ModuleSpec(
            'transformers', None, origin=str(tmp_path / '__init__.py')
        )
    monkeypatch.setattr(
        mmpretrain_api.importlib.util, 'find_spec', lambda name: spec
    )
    assert mmpretrain_api._has_moved_names() == old_enough
