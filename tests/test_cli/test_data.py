"""``gtpt-mm data import`` and ``data export``, as one types them."""

import json
import os
import shutil

import pytest
import yaml
from support.exchange_sets import compare, draw_set, write_coco

from gtpt_mm.cli import main
from gtpt_mm.datasets.exchange import read_folder, read_set


@pytest.fixture
def call(capsys):
    """Return a function that runs the command and returns what it prints."""

    def run(*args) -> str:
        code = main(['data', *map(str, args)])
        printed = capsys.readouterr()
        return printed.out if code == 0 else f'{code} {printed.err}'

    return run


def test_walk(tmp_path, call):
    """COCO to a folder of one's own, to each tool, and back."""
    from gtpt_mm.datasets.exchange import write_set

    drawn = draw_set(tmp_path / 'pictures', num=12)
    drawn.swap = None
    write_set(drawn, tmp_path / 'coco', 'coco')
    printed = call('import', tmp_path / 'coco', tmp_path / 'own')
    lines = printed.splitlines()
    assert lines[0].startswith('coco: mouse with 4 keypoints: nose, left_ear')
    assert lines[1].split() == ['train', 'val', 'all']
    assert lines[2].split() == ['pictures', '8', '4', '12']
    assert 'metainfo: swap: left_ear = right_ear' in printed
    assert lines[-1].endswith('train.json, val.json, metainfo.py, images/')
    points = read_folder(tmp_path / 'own').metainfo['keypoint_info']
    assert points[1]['swap'] == 'right_ear'
    for name in ('coco', 'yolo', 'cvat', 'label-studio'):
        out = tmp_path / name.replace('coco', 'coco2')
        printed = call('export', tmp_path / 'own', out, '--to', name)
        assert f'wrote {out}: ' in printed
        assert (f'{name} does not keep: ' in printed) == (name != 'coco')
        call('import', out, tmp_path / f'own_{name}')
        back = read_set(tmp_path / f'own_{name}')
        compare(drawn, back, ids=name != 'yolo' and name != 'cvat')
    content = yaml.safe_load((tmp_path / 'yolo' / 'data.yaml').read_text())
    assert content['flip_idx'] == [0, 2, 1, 3]


def test_ids_of_instances_come_back_from_cvat(tmp_path, call):
    from gtpt_mm.datasets.exchange import write_set

    drawn = draw_set(tmp_path / 'pictures')
    write_set(drawn, tmp_path / 'cvat', 'cvat')
    call('import', tmp_path / 'cvat', tmp_path / 'own')
    back = {p.name: p for p in read_set(tmp_path / 'own').pictures}
    for picture in drawn.pictures:
        ids = [i.id for i in back[picture.name].instances]
        assert ids == [i.id for i in picture.instances]


def test_what_is_left_out_is_printed(tmp_path, call):
    content = write_coco(tmp_path / 'a.json')
    content['annotations'] *= 2
    content['annotations'].append(
        dict(id=99, image_id=77, category_id=1, keypoints=[1, 2, 2] * 3)
    )
    content['images'].append(
        dict(id=3, file_name='gone.png', width=9, height=9)
    )
    (tmp_path / 'a.json').write_text(json.dumps(content))
    printed = call('import', tmp_path / 'a.json', tmp_path / 'own')
    assert 'left out: 1 annotations of an image that is not listed' in printed
    assert 'left out: 1 pictures whose file was not found' in printed


def test_zip(tmp_path, call):
    """As CVAT and others offer a set for the download, maybe in a folder."""
    write_coco(tmp_path / 'in' / 'set' / 'annotations' / 'a.json')
    images = tmp_path / 'in' / 'set' / 'annotations' / 'images'
    images.rename(tmp_path / 'in' / 'set' / 'images')
    source = shutil.make_archive(tmp_path / 'x', 'zip', tmp_path / 'in')
    call('import', source, tmp_path / 'own')
    back = read_set(tmp_path / 'own')
    assert [len(p.instances) for p in back.pictures] == [1, 1]
    assert all(p.path.is_file() for p in back.pictures)
    printed = call('import', source, tmp_path / 'o2', '--link')
    assert 'unpack the zip' in printed
    (tmp_path / 'x.zip').write_bytes(b'PK torn')
    assert 'torn or not a zip' in call('import', source, tmp_path / 'o2')


def test_options_of_the_split(tmp_path, call):
    from gtpt_mm.datasets.exchange import write_set

    drawn = draw_set(tmp_path / 'pictures', num=10, split=False)
    for number, picture in enumerate(drawn.pictures):
        picture.group = f'day {number // 5}'
    write_set(drawn, tmp_path / 'coco', 'coco')
    options = ('--val', 0.5, '--seed', 1, '--split-by', 'group', '--link')
    call('import', tmp_path / 'coco', tmp_path / 'own', *options)
    groups = {
        split: {i['group'] for i in json.loads(file.read_text())['images']}
        for split, file in read_folder(tmp_path / 'own').ann_files.items()
    }
    assert sorted(map(len, groups.values())) == [1, 1]
    assert groups['train'] != groups['val']
    assert (tmp_path / 'own' / 'images' / 'a' / '0.png').is_symlink()


def test_swap(tmp_path, call):
    write_coco(tmp_path / 'a.json')
    call(
        'import', tmp_path / 'a.json', tmp_path / 'own', '--swap', 'left_ear='
    )
    points = read_folder(tmp_path / 'own').metainfo['keypoint_info']
    assert points[1]['swap'] == ''
    printed = call(
        'import', tmp_path / 'a.json', tmp_path / 'o2', '--swap', 'x=y'
    )
    assert printed.startswith('2 gtpt-mm data: --swap')


def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, call):
    write_coco(tmp_path / 'a.json')
    out = tmp_path / 'out'
    for args, message in [
        (('import', tmp_path / 'nowhere', out), 'does not exist'),
        (('import', tmp_path / 'images', out), 'none of the known formats'),
        (
            ('import', tmp_path / 'a.json', out, '--format', 'voc'),
            "unknown format 'voc'",
        ),
        (('import', tmp_path / 'a.json', out, '--val', 2), 'between 0 and 1'),
        (('import', tmp_path / 'a.json', tmp_path), 'not empty'),
        (
            ('import', tmp_path / 'a.json', out, '--category', 'cat'),
            "no category 'cat'",
        ),
        (
            ('import', tmp_path / 'a.json', out, '--names', 'a,b'),
            '2 names, 2 of them different, for 3 keypoints',
        ),
    ]:
        printed = call(*args)
        assert printed.startswith('2 gtpt-mm data: ')
        assert message in printed
        assert len(printed.splitlines()) == 1
    assert sorted(os.listdir(tmp_path)) == ['a.json', 'images']
