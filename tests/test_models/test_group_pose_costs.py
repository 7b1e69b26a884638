"""Parameters and MACs of Group Pose and of its ablations."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / 'projects' / 'group_pose_ablations'


@pytest.fixture(scope='module')
def table():
    spec = importlib.util.spec_from_file_location(
        'group_pose_table', PROJECT / 'table.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


#: Of the authors' code: the affine parameters of their frozen norms, half of
#: 106240 numbers, are no parameters there.
OFFICIAL = dict(res50=49_318_396 + 106_240 // 2)
OFFICIAL |= {'swin-t': 49_861_430, 'swin-l': 219_655_280}


@pytest.mark.parametrize('name', OFFICIAL)
def test_parameters_are_those_of_the_authors(name, table):
    counts = table.count(table.MODEL.format(name), (160, 160))
    assert counts.params == OFFICIAL[name]
    if name == 'res50':
        assert counts.trainable == 49_095_996
    else:
        assert counts.trainable == counts.params


@pytest.mark.parametrize(
    ('size', 'official', 'tokens'),
    [((800, 1333), 313.0, 22223), ((480, 800), 126.7, 7979)],
)
def test_macs_are_fewer_than_of_the_authors(size, official, tokens, table):
    """By the poses of tokens that are not selected, and little more.

    The authors' number also has 2.4 G (of 22223 tokens) of grid_sample, which
    is no matrix product, and the heads of the last layer twice.
    """
    counts = table.count(table.MODEL.format('res50'), size)
    mlp = 256 * 512 + 2 * 512 * 512 + 512 * 34
    saved = (tokens - 100) * mlp / 1e9 + 2.4 * tokens / 22223
    assert counts.macs / 1e9 == pytest.approx(official - saved, rel=5e-3)
    assert counts.macs / 1e9 < official - saved + 0.1


def test_every_ablation_has_a_row(table):
    configs = {str(path.relative_to(ROOT)) for path in PROJECT.rglob('*.py')}
    configs -= {str((PROJECT / 'table.py').relative_to(ROOT))}
    assert configs == {
        row.config for row in table.ROWS if row.config.startswith('projects')
    }


@pytest.mark.slow
def test_ablations_build_and_differ(table):
    size = (
        192,
        256,
    )  # tokens enough for the 900 candidates of a human decoder
    counts = {
        row.label: table.count(row.config, size)
        for row in table.ROWS
        if 'Swin' not in row.label
    }
    base = counts.pop('Group Pose, R50')
    for label, own in counts.items():
        same = own == base
        assert same == (label == 'score from keypoints'), label
    per_attention = 256 * 1024 + 1024  # projections with their biases
    assert base.params - counts['shared attention'].params == 6 * per_attention
