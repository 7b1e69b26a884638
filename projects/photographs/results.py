"""Results of finished runs."""

import json
from pathlib import Path

RESULT = 'result.json'


def read_result(folder: Path) -> dict | None:
    """Return the result of a run, None if it has not finished."""
    path = folder / RESULT
    return json.loads(path.read_text()) if path.exists() else None
