"""Deviations from the authors' code, as they are noted and written down."""

import re

import numpy as np
import pytest
from support import parity
from support.projects import load_script

tool = load_script('../tools/parity.py')


@pytest.fixture
def noted(monkeypatch):
    """Note into an empty table, which no other test sees."""
    table = {}
    monkeypatch.setattr(parity, '_noted', table)
    return table


def test_largest_deviation_is_kept_with_its_test(noted, monkeypatch):
    monkeypatch.setenv('PYTEST_CURRENT_TEST', 'a.py::test_a[x] (call)')
    parity.note('M', 'outputs', np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    monkeypatch.setenv('PYTEST_CURRENT_TEST', 'a.py::test_b (call)')
    parity.note('M', 'outputs', np.array([9.0, 10.0]), np.array([9.5, 10.0]))
    parity.note('M', 'outputs', [np.inf, 1.0], [np.inf, 1.0])
    parity.note('M', 'decoding', [[3.0, 4.0]], [[3.25, 4.0]], scale=1)
    assert noted['M']['outputs'] == dict(
        deviation=0.5,
        test='a.py::test_a[x]',
        tests=['a.py::test_a', 'a.py::test_b'],
        numbers=6,
    )
    assert noted['M']['decoding']['deviation'] == 0.25


def test_a_number_that_is_none_is_the_largest_deviation(noted):
    parity.note('M', 'losses', [np.nan, 1.0], [1.0, 1.0])
    parity.note('M', 'losses', [2.0], [1.0])
    assert np.isnan(noted['M']['losses']['deviation'])


def test_other_shapes_and_parts_are_mistakes(noted):
    with pytest.raises(AssertionError):
        parity.note('M', 'outputs', [1.0], [1.0, 1.0])
    with pytest.raises(AssertionError, match='speed'):
        parity.note('M', 'speed', [1.0], [1.0])


def test_empty_cells_are_said():
    cell = dict(deviation=2e-6, test='tests/x.py::test_x', numbers=7)
    equal = dict(deviation=0.0, test='tests/y.py::test_y', numbers=7)
    table = tool.make_table({'GTPT': dict(outputs=cell, losses=equal)}, '')
    rows = dict(
        (row.split(' | ')[0].strip('| '), row.split(' | '))
        for row in table.splitlines()[2:]
    )
    assert rows['GTPT'][2:5] == [
        '[2e-06](tests/x.py)',
        '[equal](tests/y.py)',
        tool.EMPTY,
    ]
    assert 'no official code' in rows['HEViTPose'][1]
    assert rows['Group Pose'][2] == tool.EMPTY


def read_rows(path) -> list[list[str]]:
    """Return the cells of the first table between the markers."""
    text = path.read_text()
    part = text.partition(tool.BEGIN)[2].partition(tool.END)[0].strip()
    rows = part.split('\n\n')[0].splitlines()
    # Numbers alone: the pages link to tests in different ways.
    return [
        [re.sub(r'\[(.*?)\]\(.*?\)', r'\1', c) for c in row.split(' | ')]
        for row in rows
    ]


def test_both_pages_have_the_same_numbers(repo_root):
    readme = read_rows(repo_root / 'README.md')
    assert readme == read_rows(repo_root / tool.PAGE)
    assert [row[0].strip('| ') for row in readme[2:]] == list(tool.SOURCES)
    cells = [cell.strip(' |') for row in readme[2:] for cell in row[2:]]
    numbers = [float(c) for c in cells if re.fullmatch(r'\de-\d\d', c)]
    assert len(numbers) >= 12
    assert max(numbers) < 2e-3  # pixels of decoding and all the rest


def test_tests_of_the_page_exist(repo_root):
    page = (repo_root / tool.PAGE).read_text()
    names = re.findall(r'`(test_\S+?\.py)::(test_\w+)', page)
    assert len(names) >= 15
    for file, test in names:
        assert f'def {test}(' in (repo_root / 'tests' / file).read_text()
