"""The peers that ViTPose is timed beside: their sizes, as printed."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from gtpt_mm.benchmark.macs import count_operators

#: First words of a row of the README, by the network's file.
ROWS = {
    'huggingface-vitpose-b': 'Hugging Face, VitPose-B',
    'huggingface-vitpose-plus-b': 'Hugging Face, VitPose-plus-B, one head',
}


@pytest.fixture
def project(repo_root, monkeypatch):
    """The folder, with ``projects`` to be imported, as the README has it."""
    pytest.importorskip('transformers', reason='transformers is not installed')
    monkeypatch.syspath_prepend(str(repo_root))
    return repo_root / 'projects/vitpose_peers'


def test_every_network_has_a_row(repo_root):
    folder = repo_root / 'projects/vitpose_peers/networks'
    assert {path.stem for path in folder.glob('*.py')} == set(ROWS)


def test_networks_load_and_count_as_printed(project):
    readme = (project / 'README.md').read_text()
    for name, label in ROWS.items():
        cfg = Config.fromfile(project / f'networks/{name}.py')
        init_default_scope(cfg.default_scope)
        with torch.device('meta'):
            model = MODELS.build(cfg.model).eval()
        params = sum(p.numel() for p in model.parameters()) / 1e6
        img = torch.empty(1, 3, *cfg.model.get('img_size'), device='meta')
        with torch.no_grad():
            gmacs = count_operators(lambda m=model, i=img: m(i)) / 1e9
        row = re.search(rf'\| {label} \| (.+) M \| (.+) \|', readme)
        assert row.groups() == (f'{params:.1f}', f'{gmacs:.1f}')
