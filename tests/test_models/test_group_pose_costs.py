"""Parameters and MACs of Group Pose and of its ablations."""

from pathlib import Path

import pytest
from support.projects import load_script

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / 'projects' / 'group_pose_ablations'


@pytest.fixture(scope='module')
def table():
    return load_script('group_pose_ablations/table.py')


#: Of the authors' code: the affine parameters of their frozen norms, half of
#: 106240 numbers, are no parameters there.
OFFICIAL = dict(res50=49_318_396 + 106_240 // 2)
OFFICIAL |= {'swin-t': 49_861_430, 'swin-l': 219_655_280}
#: Devices and batch in the names of the configs.
BATCH = {'res50': '8xb2', 'swin-t': '8xb2', 'swin-l': '16xb1'}


@pytest.mark.parametrize('name', OFFICIAL)
def test_parameters_are_those_of_the_authors(name, table):
    counts = table.count(
        table.PAPER.format(f'{name}_{BATCH[name]}'), (160, 160)
    )
    assert counts.params == OFFICIAL[name]
    if name == 'res50':
        assert counts.trainable == 49_095_996
    else:
        assert counts.trainable == counts.params


SIZES = {(800, 1333): 22223, (480, 800): 7979}  # (h, w): tokens


@pytest.mark.parametrize('size', SIZES, ids=str)
@pytest.mark.parametrize(
    ('name', 'official'),
    [
        ('res50', (313.0, 126.7)),
        ('swin-t', (321.9, 131.9)),
        ('swin-l', (1037.7, 407.2)),
    ],
)
def test_macs_are_fewer_than_of_the_authors(name, official, size, table):
    """By the poses of tokens that are not selected, and little more.

    The authors' number also has 2.4 G (of 22223 tokens) of grid_sample, which
    is no matrix product, and the heads of the last layer twice.
    """
    official = dict(zip(SIZES, official, strict=True))[size]
    counts = table.count(table.PAPER.format(f'{name}_{BATCH[name]}'), size)
    mlp = 256 * 512 + 2 * 512 * 512 + 512 * 34
    tokens = SIZES[size]
    saved = (tokens - 100) * mlp / 1e9 + 2.4 * tokens / 22223
    assert counts.macs / 1e9 == pytest.approx(official - saved, rel=5e-3)
    assert counts.macs / 1e9 < official - saved + 0.1


def test_every_ablation_has_a_row(table):
    """But those on drawn people, which are no rows of the paper."""
    folder = PROJECT / 'configs'
    configs = {str(path.relative_to(ROOT)) for path in folder.glob('*.py')}
    assert configs == {
        row.config for row in table.ROWS if row.config.startswith('projects')
    }


def printed_rows() -> dict[str, list[str]]:
    """Return the cells of the table of counts by the row's label."""
    page = (PROJECT / 'README.md').read_text()
    [printed] = [part for part in page.split('\n\n') if '| params' in part]
    lines = printed.splitlines()
    cells = [[c.strip() for c in line.split('|')[1:-1]] for line in lines]
    return {row[1]: row for row in cells}


def test_readme_has_the_parameters_of_every_row(table):
    rows = printed_rows()
    assert list(rows) == ['row', '---', *(row.label for row in table.ROWS)]
    for row in table.ROWS:
        params, trained = table.count_parameters(table.build(row.config))
        expected = [f'{params / 1e6:.3f}', f'{trained / 1e6:.3f}']
        assert rows[row.label][2:4] == expected, row.label
        assert rows[row.label][::5] == [row.table, row.ap]


def test_pages_have_the_numbers_of_the_table(repo_root):
    rows = printed_rows()
    page = (repo_root / 'docs/models/group_pose.md').read_text()
    folder = repo_root / 'configs/body_2d_keypoint/group_pose/coco'
    configs = (folder / 'group_pose_coco.md').read_text()
    own = [rows[f'Group Pose, {name}'] for name in ('R50', 'Swin-T', 'Swin-L')]
    for title, column in (('parameters (M)', 2), ('GMACs at 800x1333', 4)):
        cells = ' | '.join(row[column] for row in own)
        assert f'| {title} | {cells} |' in page
    for name, row in zip(('res50', 'swin-t', 'swin-l'), own, strict=True):
        lines = [x for x in configs.splitlines() if x.startswith(f'| [{name}')]
        assert len(lines) == 2
        for line in lines:
            assert f'| {float(row[2]):.1f} M |' in line


def test_table_is_printed(table, capsys):
    rows = [row for row in table.ROWS if row.label in ('n50', 'n200')]
    table.main(rows, (160, 192))
    head, line, *body = capsys.readouterr().out.splitlines()
    assert 'GMACs at 160x192' in head and head.count('|') == line.count('|')
    few, many = ([c.strip() for c in row.split('|')[1:-1]] for row in body)
    assert few[:4] == ['4c', 'n50', '49.372', '49.096']
    assert many[5] == '72.0' and float(many[4]) > float(few[4]) > 5


@pytest.mark.slow
def test_readme_is_what_the_table_prints(table, capsys):
    table.main()
    printed = capsys.readouterr().out
    assert printed in (PROJECT / 'README.md').read_text()


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
