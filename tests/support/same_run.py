"""Compare what two runs of a training wrote, bit for bit."""

import json
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

#: What differs by nature: clocks, names that hold the time of the start, which
#: older files lay in the folder, to be removed, and the commit in the version.
CLOCKS = ('time', 'data_time', 'memory', 'eta')
NAMES = (
    'cfg',
    'experiment_name',
    'outdated_ckpts',
    'mmengine_version',
    *CLOCKS,
)


def assert_same_run(run: Path, expected: Path) -> None:
    """Compare the checkpoints that the second left, and the logs."""
    names = {path.name for path in expected.glob('*.pth')}
    assert names <= {path.name for path in run.glob('*.pth')}
    assert any(name.startswith('best_') for name in names)
    for name in names:
        compare(
            read_checkpoint(run / name), read_checkpoint(expected / name), name
        )
    compare(read_log(run), read_log(expected), 'log')


def read_checkpoint(path: Path) -> dict:
    """Return a checkpoint without what differs by nature."""
    checkpoint = torch.load(path, weights_only=False)
    hub = checkpoint['message_hub']
    for mapping in (checkpoint['meta'], hub['runtime_info']):
        for key in NAMES:
            mapping.pop(key, None)
    for key in [k for k in hub['log_scalars'] if k.split('/')[-1] in CLOCKS]:
        del hub['log_scalars'][key]
    return _without_folder(checkpoint, str(path.parent))


def _without_folder(value, folder: str):
    if isinstance(value, dict):
        return {k: _without_folder(v, folder) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_folder(item, folder) for item in value]
    return value.replace(folder, '') if isinstance(value, str) else value


def read_log(folder: Path) -> dict:
    """Return all that was logged, by step; what comes twice must agree."""
    rows = {}
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            row = {k: v for k, v in row.items() if k not in CLOCKS}
            key = 'loss' in row, row['step']
            compare(row, rows.setdefault(key, row), f'log of {key}')
    return rows


def compare(mine, expected, where: str) -> None:
    assert type(mine) is type(expected), where
    if isinstance(expected, torch.Tensor):
        assert torch.equal(mine, expected), where
    elif isinstance(expected, np.ndarray):
        assert np.array_equal(mine, expected), where
    elif isinstance(expected, HistoryBuffer):
        compare(list(mine._log_history), list(expected._log_history), where)
    elif isinstance(expected, dict):
        assert mine.keys() == expected.keys(), where
        for key in expected:
            compare(mine[key], expected[key], f'{where}: {key}')
    elif isinstance(expected, list | tuple):
        assert len(mine) == len(expected), where
        for number, pair in enumerate(zip(mine, expected, strict=True)):
            compare(*pair, f'{where}: {number}')
    else:
        assert mine == expected, f'{where}: {mine} instead of {expected}'
