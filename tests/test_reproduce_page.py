"""The page on reproducing the papers names what is there, and its figures."""

import re

import pytest

FOLDERS = {
    '$B': 'configs/body_2d_keypoint',
    '$W': 'configs/wholebody_2d_keypoint/gtpt/coco-wholebody',
}


@pytest.fixture(scope='module')
def rows(repo_root):
    """Config and last cell of each row with a command."""
    text = (repo_root / 'docs/reproduce.md').read_text()
    found = []
    for line in text.splitlines():
        command = re.search(r'`mim train mmpose (\S+)(.*?)`', line)
        if line.startswith('|') and command:
            path, options = command.groups()
            for short, folder in FOLDERS.items():
                path = path.replace(short, folder)
            cell = line.strip('| ').split(' | ')[-1]
            found.append((repo_root / path, options, cell))
    return found


def test_commands_name_configs_and_their_number_of_devices(rows):
    assert len(rows) == 24
    for path, options, _ in rows:
        assert path.is_file(), path
        number = re.search(r'_(\d+)xb\d+', path.stem)[1]
        given = re.search(r'--gpus (\d+) --launcher pytorch', options)
        assert (given[1] if given else '1') == number, path


def test_figures_are_those_of_the_model_pages(rows, repo_root):
    """In the row of the config, or of the model that it is a variant of."""
    for path, _, cell in rows:
        figure = re.search(r'\d\d\.\d', cell)[0]
        pages = ''.join(page.read_text() for page in path.parent.glob('*.md'))
        pages += (repo_root / 'docs/curriculum.md').read_text()
        assert figure in pages, (path.stem, figure)


def test_start_from_mae_is_of_vitpose_alone(rows):
    for path, options, _ in rows:
        assert ('$MAE' in options) == (
            'vitpose-' in path.stem.replace('hevitpose', '')
        ), path
