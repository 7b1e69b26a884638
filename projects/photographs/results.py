"""What finished runs wrote.

Figures of the runs of docs/photographs.md are kept in :data:`KEPT`, a part of
the repository: one file for each run, with its curve, seed and commit.
"""

import json
import shutil
from pathlib import Path

RESULT = 'result.json'
WEIGHTS = 'weights.pth'
#: Figures that are no run's: costs of the rows, and the public networks.
OTHERS = ('speed.json', 'references.json')
KEPT = Path(__file__).with_name('results')


def read_result(folder: Path) -> dict | None:
    """Return the result of a run, None if it has not finished."""
    path = folder / RESULT
    return json.loads(path.read_text()) if path.exists() else None


def take_results(out: Path, kept: Path = KEPT) -> list[str]:
    """Copy the figures of a folder of runs; return the names of the runs.

    Only figures: weights, logs and checkpoints stay where they are.
    """
    names = sorted(path.parent.name for path in out.glob(f'*/{RESULT}'))
    for name in names:
        (kept / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(out / name / RESULT, kept / name / RESULT)
    for other in OTHERS:
        if (out / other).exists():
            kept.mkdir(exist_ok=True)
            content = json.loads((out / other).read_text())
            if other == 'speed.json':
                content = _shorten(content)
            (kept / other).write_text(json.dumps(content, indent=1) + '\n')
    return names


def _shorten(speed: dict) -> dict:
    """Return the costs without the single calls and the eager models."""
    rows = [row for row in speed['rows'] if row['runtime'] == 'onnxruntime']
    keys = ('model', 'runtime', 'median_ms', 'error')
    costs = ('model', 'parameters', 'macs_operators')
    return dict(
        models=[{key: m[key] for key in costs} for m in speed['models']],
        rows=[{key: row.get(key) for key in keys} for row in rows],
    )
