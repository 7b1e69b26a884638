"""Largest deviations from the authors' code, as the tests meet them.

A test that compares with a recording notes the two sides. With a file named
in ``GTPT_MM_PARITY`` the session writes what was noted; ``tools/parity.py``
makes the table of it.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

#: Environment variable with the file to write.
VARIABLE = 'GTPT_MM_PARITY'
#: Parts of a model that are compared, the columns of the table.
PARTS = (
    'outputs',
    'losses',
    'gradients',
    'training steps',
    'decoding',
    'checkpoints',
)

_noted: dict[str, dict[str, dict[str, Any]]] = {}


def note(
    model: str, part: str, actual: Any, expected: Any, scale: Any = None
) -> None:
    """Remember the largest deviation of a part of a model.

    Args:
        model: Name of the model.
        part: One of :data:`PARTS`.
        actual: Our numbers.
        expected: The authors' numbers.
        scale: What a deviation is divided by; the largest expected number by
            default, 1 for pixels.
    """
    assert part in PARTS, part
    actual, expected = _array(actual), _array(expected)
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    if not expected.size:
        return
    if scale is None:
        scale = max(np.abs(expected[np.isfinite(expected)]).max(), 1e-12)
    # Of equal infinities the difference is no number.
    with np.errstate(invalid='ignore'):
        apart = np.where(actual == expected, 0, np.abs(actual - expected))
    found = float(apart.max() / float(scale))
    test = os.environ.get('PYTEST_CURRENT_TEST', '').partition(' ')[0]
    cell = _noted.setdefault(model, {}).setdefault(
        part, dict(deviation=-1.0, test='', tests=[], numbers=0)
    )
    cell['numbers'] += expected.size
    name = test.partition('[')[0]
    if name not in cell['tests']:
        cell['tests'].append(name)
    # One that is no number counts as the largest, and stays.
    if np.isnan(found) or found > cell['deviation']:
        cell.update(deviation=found, test=test)


def note_state(model: str, actual: dict, expected: dict) -> None:
    """Remember how far the tensors of a checkpoint are from the authors'."""
    assert set(actual) == set(expected)
    for key, value in expected.items():
        note(model, 'checkpoints', actual[key], value)


def write() -> None:
    """Write what was noted, if a file is named."""
    if os.environ.get(VARIABLE):
        Path(os.environ[VARIABLE]).write_text(json.dumps(_noted, indent=1))


def _array(values: Any) -> np.ndarray:
    if hasattr(values, 'detach'):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)
