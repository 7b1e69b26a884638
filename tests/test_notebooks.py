"""The notebooks of docs/ run from the first cell to the last."""

import nbformat
import pytest
from support.tools import load_tool

tool = load_tool('run_notebooks')
PATHS = sorted(tool.NOTEBOOKS.glob('*.ipynb'))
NAMES = [path.stem for path in PATHS]
#: The training of each notebook.
EPOCHS = '--epochs 14'


def outputs(notebook) -> list[dict]:
    return [x for cell in notebook.cells for x in cell.get('outputs', [])]


@pytest.mark.parametrize('path', PATHS, ids=NAMES)
def test_kept_outputs(path):
    """What the site shows: small, without errors and paths of a machine."""
    assert NAMES == ['own_keypoints', 'predict']
    assert path.stat().st_size < 500_000
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    kinds = {output.output_type for output in outputs(notebook)}
    assert 'error' not in kinds and 'display_data' in kinds
    text = path.read_text()
    assert not [x for x in ('/root/', '/home/', 'site-packages') if x in text]


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize('path', PATHS, ids=NAMES)
def test_notebook_runs(path, tmp_path):
    run_and_compare(path, path, tmp_path)


@pytest.mark.parametrize('path', PATHS, ids=NAMES)
def test_notebook_runs_with_a_short_training(path, tmp_path):
    text = path.read_text()
    assert EPOCHS in text
    short = tmp_path / path.name
    short.write_text(text.replace(EPOCHS, '--epochs 2'))
    (tmp_path / 'run').mkdir()
    run_and_compare(short, path, tmp_path / 'run')


def run_and_compare(path, kept_path, folder):
    """Run a notebook; each cell shows as much as in the kept one."""
    notebook = tool.run(path, folder)
    kept = nbformat.read(kept_path, as_version=4)
    for ours, theirs in zip(notebook.cells, kept.cells, strict=True):
        assert len(ours.get('outputs', [])) == len(theirs.get('outputs', []))


def test_a_cell_that_fails(tmp_path):
    cell = nbformat.v4.new_code_cell('%%bash\nls missing')
    path = tmp_path / 'n.ipynb'
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    with pytest.raises(Exception, match='ls missing'):
        tool.run(path, tmp_path)
