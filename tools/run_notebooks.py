"""Run the notebooks of docs/notebooks in empty folders.

    python tools/run_notebooks.py            # fails at the first error
    python tools/run_notebooks.py --write    # keeps what they print and show

Needs nbclient and ipykernel, which the tests require as well.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / 'docs' / 'notebooks'


def run(
    path: Path, folder: Path, timeout: int = 1200
) -> nbformat.NotebookNode:
    """Return a notebook with the outputs of this run.

    Args:
        path: The notebook.
        folder: Empty folder to work in.
        timeout: Seconds that a cell may take.

    Raises:
        CellExecutionError: If a cell fails; the error shows it.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name='python3',
        resources=dict(metadata=dict(path=str(folder))),
        record_timing=False,
        coalesce_streams=True,
    )
    with commands_first():
        client.execute()
    return notebook


@contextmanager
def commands_first() -> Iterator[None]:
    """Put this interpreter's commands and the clone first on the paths.

    Then ``gtpt-mm`` in a cell runs the code that is tested.
    """
    old = {key: os.environ.get(key) for key in ('PATH', 'PYTHONPATH')}
    bin_folder = str(Path(sys.executable).parent)
    for key, first in (('PATH', bin_folder), ('PYTHONPATH', str(ROOT))):
        os.environ[key] = os.pathsep.join(filter(None, (first, old[key])))
    try:
        yield
    finally:
        for key, value in old.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove content that differs between runs or machines."""
    notebook.metadata = dict(
        kernelspec=dict(
            display_name='Python 3', language='python', name='python3'
        ),
        language_info=dict(name='python'),
    )
    for index, cell in enumerate(notebook.cells):
        cell.id = f'cell-{index}'
        cell.metadata = {}
    return notebook


def main(argv: list[str] | None = None) -> int:
    """Run the chosen notebooks, or all."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('notebooks', type=Path, nargs='*')
    parser.add_argument('--write', action='store_true')
    args = parser.parse_args(argv)
    for path in args.notebooks or sorted(NOTEBOOKS.glob('*.ipynb')):
        with tempfile.TemporaryDirectory() as folder:
            notebook = run(path, Path(folder))
        if args.write:
            nbformat.write(clean(notebook), path)
        print(f'{path.name}: {len(notebook.cells)} cells')
    return 0


if __name__ == '__main__':
    sys.exit(main())
