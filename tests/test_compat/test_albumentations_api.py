"""Stock augmentations with albumentations 2, by a stand-in of its layout."""

import json
import subprocess
import sys

import pytest

from gtpt_mm.compat.data import albumentations_api

#: What mmpose's configs of RTMPose say.
DROPOUT = dict(
    type='CoarseDropout',
    max_holes=1,
    max_height=0.4,
    max_width=0.4,
    min_holes=1,
    min_height=0.2,
    min_width=0.2,
    p=0.5,
)
NEW = dict(
    type='CoarseDropout',
    p=0.5,
    num_holes_range=(1, 1),
    hole_height_range=(0.2, 0.4),
    hole_width_range=(0.2, 0.4),
)


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        (DROPOUT, NEW),
        # Without a lower end each range is its upper end, as it was.
        (
            dict(type='CoarseDropout', max_holes=3, fill_value=9),
            dict(
                type='CoarseDropout',
                num_holes_range=(3, 3),
                hole_height_range=(8, 8),
                hole_width_range=(8, 8),
                fill=9,
            ),
        ),
        (NEW, NEW),
        (dict(type='CoarseDropout', p=0.1),) * 2,
        (dict(type='Blur', p=0.1),) * 2,
    ],
)
def test_old_arguments_get_their_new_names(old, new):
    before = dict(old)
    assert albumentations_api.translate(old) == new
    assert old == before


#: As albumentations 2.0.8 has its modules; it keeps what it is given.
PACKAGE = """
class Recorded:
    def __init__(self, **options):
        self.options = options

class Blur(Recorded): pass
class CoarseDropout(Recorded): pass

class Compose:
    def __init__(self, transforms):
        self.transforms = transforms
"""
SCRIPT = """
import json
import gtpt_mm
from gtpt_mm import compat
from mmpose.registry import TRANSFORMS
from mmpose.utils import register_all_modules
register_all_modules()
step = TRANSFORMS.build(dict(
    type='Albumentation', transforms=[dict(type='Blur', p=0.1), {dropout}]))
print(json.dumps([compat.applied()['albumentations_api'],
                  [t.options for t in step.aug.transforms]]))
"""


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / 'albumentations'
    (folder / 'augmentations/pixel').mkdir(parents=True)
    (folder / '__init__.py').write_text(
        f'from . import augmentations\n{PACKAGE}'
    )
    (folder / 'augmentations/__init__.py').write_text('from . import pixel')
    (folder / 'augmentations/pixel/__init__.py').write_text(
        'from . import transforms'
    )
    (folder / 'augmentations/pixel/transforms.py').write_text('Blur = None')
    return folder


def test_stock_augmentations_are_built(package, repo_root, monkeypatch):
    """Fails without the shim: no module, and arguments that get lost."""
    path = f'{package.parent}:{repo_root}'
    monkeypatch.setenv('PYTHONPATH', path)
    script = SCRIPT.format(dropout=repr(DROPOUT))
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', script],
        capture_output=True,
        text=True,
        check=True,
    )
    words, options = json.loads(done.stdout.splitlines()[-1])
    assert 'albumentations >= 2' in words
    expected = {key: value for key, value in NEW.items() if key != 'type'}
    assert options == [dict(p=0.1), json.loads(json.dumps(expected))]


def test_old_ones_are_left_alone(package, monkeypatch):
    monkeypatch.delitem(sys.modules, 'albumentations', raising=False)
    monkeypatch.syspath_prepend(package.parent)
    assert 'albumentations >= 2' in albumentations_api.missing()
    (package / 'augmentations/transforms.py').touch()
    assert albumentations_api.missing() == ''
