"""The variants of ViTPose++ count what the paper prints."""

from pathlib import Path

import pytest
from support.projects import load_script

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / 'projects/vitpose_ablations'


TABLE = load_script('vitpose_ablations/table.py')


@pytest.mark.parametrize('row', TABLE.ROWS, ids=lambda row: row.label)
def test_counts_are_those_of_the_paper_and_the_readme(row):
    counts = TABLE.count(row.config)
    # 142.45 for the paper's 143, which is 86 and 57 more.
    assert counts.merged / 1e6 == pytest.approx(row.params, abs=0.6)
    # Experts of others cost nothing, before they are merged either.
    assert counts.unmerged_macs == counts.macs
    printed = (
        f'| {row.label} | {counts.training / 1e6:.2f} '
        f'| {counts.merged / 1e6:.2f} | {row.params} '
        f'| {counts.macs / 1e9:.2f} | {row.ap} |'
    )
    assert printed in (PROJECT / 'README.md').read_text().splitlines()


def test_every_config_has_a_row():
    configs = {
        str(p.relative_to(ROOT)) for p in PROJECT.rglob('configs/**/*.py')
    }
    assert configs == {row.config for row in TABLE.ROWS}
