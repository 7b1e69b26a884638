"""Our own recorded numbers: what a clone without the goldens checks."""

import numpy as np
import pytest
from support.recordings import RECORDINGS


@pytest.mark.parametrize('name', RECORDINGS)
def test_numbers_are_those_once_recorded(name, repo_root):
    """When they were recorded, the authors' goldens agreed.

    After a change that is meant: ``python tests/record.py NAME``.
    """
    path = repo_root / f'tests/data/{name}_small.npz'
    assert path.stat().st_size < 100_000
    with np.load(path) as recorded:
        expected = {key: recorded[key] for key in recorded}
    assert len(str(expected.pop('commit'))) == 40
    actual = RECORDINGS[name]()
    assert set(actual) == set(expected)
    for key, value in expected.items():
        assert np.abs(value).max() > 1e-3, key
        np.testing.assert_allclose(
            actual[key], value, rtol=1e-5, atol=1e-5, err_msg=key
        )
