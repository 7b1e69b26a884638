"""The examples in docstrings of tools/, which pytest does not collect."""

import doctest
import importlib.util

import pytest
from support.tools import load_tool

NAMES = ('dockerfile_steps', 'docs_hooks', 'matrix', 'workflow_steps')


@pytest.mark.parametrize('name', NAMES)
def test_examples(name):
    if name == 'docs_hooks' and not importlib.util.find_spec('mkdocs'):
        pytest.skip('mkdocs is not installed: make docs does that')
    result = doctest.testmod(load_tool(name))
    assert result.attempted and not result.failed
