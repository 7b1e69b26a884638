"""Parameters and GFLOPs of GTPT against the paper's tables."""

from functools import cache
from pathlib import Path

import pytest
from support.projects import load_script

ROOT = Path(__file__).resolve().parents[2]


script = load_script('gtpt_ablations/gflops.py')


@cache
def measure(config: str, options: str):
    row = next(
        row
        for row in script.ROWS
        if row.config == config and str(row.options) == options
    )
    return script.measure(row)


@pytest.mark.parametrize(
    'row', script.ROWS, ids=lambda row: f'table{row.table}-{row.label}'
)
def test_counts_are_those_of_the_paper(row):
    """Counter ``modules``, every row computed, plus the authors' vain one."""
    result = measure(row.config, str(row.options))
    if row.departure:
        # Stated where the paper's number comes from another model.
        assert not script.agrees(result['as_paper'], row.paper)
        released = row.departure.partition('gives ')[2][:5]
        assert script.agrees(result['as_paper'], released)
    else:
        assert script.agrees(result['as_paper'], row.paper)
    if row.params:
        assert script.agrees(result['params'], row.params)
    # What is skipped is not much, but it is skipped.
    assert 0.9 < result['run'] / result['as_paper'] < 1


def test_counts_of_the_authors_tool():
    """To three digits: thop on the authors' code, all six models."""
    expected = {
        script.BODY.format('t'): 0.663,
        script.BODY.format('s'): 1.626,
        script.BODY.format('b'): 3.647,
        script.WHOLE.format('t'): 0.832,
        script.WHOLE.format('s'): 1.994,  # 1.9945
        script.WHOLE.format('b'): 4.015,
    }
    for config, value in expected.items():
        result = measure(config, '{}')
        assert result['as_paper'] == pytest.approx(value, abs=6e-4), config


@pytest.mark.parametrize(
    ('value', 'printed', 'agreed'),
    [
        (1.9945, '1.99', True),
        (1.996, '1.99', True),  # cut off
        (2.004, '1.99', False),
        (4.0151, '4.02', True),  # rounded
        (0.66, '0.7', True),
        (0.8, '0.7', False),
    ],
)
def test_agrees_rounds_or_cuts_off(value, printed, agreed):
    assert script.agrees(value, printed) == agreed
