"""Which format a path has, and what happens where that is unclear."""

import json

import pytest
from support.exchange_sets import draw_set, write_coco

from gtpt_mm.datasets.exchange import FORMATS, read_set, write_set
from gtpt_mm.datasets.exchange.formats import detect


@pytest.mark.parametrize('name', ['coco', 'yolo', 'cvat', 'label-studio'])
def test_every_written_folder_is_recognised(tmp_path, name):
    write_set(draw_set(tmp_path / 'pictures'), tmp_path / 'out', name)
    assert detect(tmp_path / 'out') == name
    files = dict(
        coco='train.json',
        yolo='data.yaml',
        cvat='annotations.xml',
    )
    files['label-studio'] = 'tasks.json'
    assert detect(tmp_path / 'out' / files[name]) == name


def test_unclear_and_unknown_paths(tmp_path):
    with pytest.raises(ValueError, match='does not exist'):
        detect(tmp_path / 'nowhere')
    with pytest.raises(ValueError) as caught:
        detect(tmp_path)
    for name, module in FORMATS.items():
        assert f'{name}: {module.SOURCES}' in str(caught.value)
    write_coco(tmp_path / 'a.json')
    (tmp_path / 'b.xml').write_text('<annotations></annotations>')
    with pytest.raises(ValueError, match='coco or cvat; choose one by --form'):
        detect(tmp_path)
    assert read_set(tmp_path, format='coco').format == 'coco'
    (tmp_path / 'c.json').write_text('[{"torn": ')
    with pytest.raises(ValueError, match='torn or not JSON'):
        detect(tmp_path / 'c.json')


def test_options(tmp_path):
    write_coco(tmp_path / 'a.json')
    with pytest.raises(ValueError, match="unknown format 'voc'; known: coco,"):
        read_set(tmp_path / 'a.json', format='voc')
    with pytest.raises(ValueError, match='coco has no option --fps'):
        read_set(tmp_path / 'a.json', fps=3)
    assert read_set(tmp_path / 'a.json', images=None).format == 'coco'
    with pytest.raises(ValueError, match='--images .*none is not a folder'):
        read_set(tmp_path / 'a.json', images=tmp_path / 'none')


def test_large_files_are_told_by_their_ends(tmp_path, monkeypatch):
    from gtpt_mm.datasets.exchange import json_files

    monkeypatch.setattr(json_files, 'LARGE', 0)
    write_coco(tmp_path / 'a.json')
    assert json_files._kind_of_ends(tmp_path / 'a.json', 2**20 + 5) in (
        'coco',
        'other',
    )
    path = tmp_path / 'b.json'
    content = json.loads((tmp_path / 'a.json').read_text())
    content['info'] = ' ' * 2**20
    path.write_text(json.dumps(content))
    assert json_files.json_kind(path) == 'coco'
    path = tmp_path / 'c.json'
    path.write_text(json.dumps([dict(annotations=[], data='x' * 2**20)]))
    assert json_files.json_kind(path) == 'label-studio'


def test_overwrite_of_exports(tmp_path):
    drawn = draw_set(tmp_path / 'pictures')
    write_set(drawn, tmp_path / 'out', 'yolo')
    with pytest.raises(ValueError, match='exists and is not empty'):
        write_set(drawn, tmp_path / 'out', 'cvat')
    write_set(drawn, tmp_path / 'out', 'cvat', overwrite=True)
    assert detect(tmp_path / 'out') == 'cvat'
    with pytest.raises(ValueError, match='holds other things'):
        write_set(drawn, tmp_path / 'pictures', 'cvat', overwrite=True)


def test_instances_without_any_label_are_nothing(tmp_path):
    write_coco(tmp_path / 'a.json')
    content = json.loads((tmp_path / 'a.json').read_text())
    for annotation in content['annotations']:
        annotation['keypoints'] = [0] * len(annotation['keypoints'])
    (tmp_path / 'a.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='no keypoint of any instance'):
        read_set(tmp_path / 'a.json')
