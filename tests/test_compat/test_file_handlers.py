"""Data files never run code."""

import collections
import json
import os
import pickle

import mmengine
import numpy as np
import pytest
import torch
import yaml
from mmpose.datasets.datasets import CocoDataset
from mmpose.datasets.datasets.wholebody3d import H36MWholeBodyDataset
from mmpose.evaluation.metrics import CocoMetric

from gtpt_mm.compat.files.file_handlers import UnsafeFileError, check_arrays


class Command:
    """Pickles to the creation of a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize('name', ['a.pkl', 'a.pickle'])
@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_command_in_a_pickle_does_not_run(tmp_path, name, protocol):
    path, ran = tmp_path / name, tmp_path / 'ran'
    path.write_bytes(pickle.dumps([Command(ran)], protocol))
    with pytest.raises(UnsafeFileError, match=rf'{name}.*mkdir'):
        mmengine.load(str(path))
    with pytest.raises(UnsafeFileError), path.open('rb') as file:
        mmengine.load(file, file_format='pkl')
    assert not ran.exists()


def test_tensor_cannot_smuggle_a_command(tmp_path):
    """torch unpickles the bytes of a storage."""
    ran = tmp_path / 'ran'
    torch.save(Command(ran), tmp_path / 'inner.pth')

    class Storage:
        def __reduce__(self):
            data = (tmp_path / 'inner.pth').read_bytes()
            return torch.storage._load_from_bytes, (data,)

    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(Storage()))
    with pytest.raises(pickle.UnpicklingError):
        mmengine.load(str(tmp_path / 'a.pkl'))
    assert not ran.exists()


@pytest.mark.parametrize('protocol', range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_results_and_cameras_are_read(tmp_path, protocol):
    """What mmpose's tools write: dumped predictions, cameras."""
    value = dict(
        keypoints=torch.rand(1, 17, 2),
        scores=np.random.rand(17).astype(np.float32),
        ids=(1, None, True, 2.5, 'name', b'raw', {3}),
        area=np.float64(2.5),
        order=collections.OrderedDict(a=[np.bool_(True)]),
    )
    mmengine.dump(value, str(tmp_path / 'a.pkl'), protocol=protocol)
    loaded = mmengine.load(str(tmp_path / 'a.pkl'))
    torch.testing.assert_close(loaded['keypoints'], value['keypoints'])
    np.testing.assert_array_equal(loaded['scores'], value['scores'])
    assert loaded['ids'] == value['ids']
    assert loaded['area'] == 2.5
    assert type(loaded['order']) is collections.OrderedDict


@pytest.mark.parametrize('content', ['harmless', 'command'])
def test_boxes_and_annotations_as_pickle_are_refused(tmp_path, content):
    ran = tmp_path / 'ran'
    annotations = tmp_path / 'a.json'
    annotations.write_text(
        json.dumps(dict(images=[], annotations=[], categories=[]))
    )
    path = tmp_path / 'boxes.pkl'
    value = [dict(image_id=1)] if content == 'harmless' else Command(ran)
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(UnsafeFileError, match=r'boxes\.pkl.*JSON'):
        CocoDataset(
            ann_file=str(annotations), bbox_file=str(path), test_mode=True
        )
    with pytest.raises(UnsafeFileError, match=r'boxes\.pkl.*JSON'):
        CocoMetric(ann_file=str(path))
    renamed = path.rename(tmp_path / 'boxes.pkl.json')
    with pytest.raises(UnsafeFileError, match=r'boxes\.pkl\.json.*pickle'):
        CocoDataset(ann_file=str(renamed))
    assert not ran.exists()


def test_boxes_as_json_are_read(tmp_path):
    annotations, boxes = tmp_path / 'a.json', tmp_path / 'boxes.json'
    image = dict(id=1, file_name='1.jpg', width=9, height=9)
    annotations.write_text(
        json.dumps(dict(images=[image], annotations=[], categories=[]))
    )
    box = dict(image_id=1, category_id=1, bbox=[1, 1, 4, 4], score=0.5)
    boxes.write_text(json.dumps([box]))
    dataset = CocoDataset(
        ann_file=str(annotations), bbox_file=str(boxes), test_mode=True
    )
    assert dataset.get_data_info(0)['bbox_score'].tolist() == [0.5]


def test_command_in_yaml_does_not_run(tmp_path):
    path, ran = tmp_path / 'boxes.yaml', tmp_path / 'ran'
    path.write_text(f'!!python/object/apply:os.mkdir ["{ran}"]')
    with pytest.raises(yaml.constructor.ConstructorError, match='os.mkdir'):
        mmengine.load(str(path))
    assert not ran.exists()


def test_what_mmengine_writes_as_yaml_is_read(tmp_path):
    value = dict(size=(192, 256), lr=0.1, names=['a', None])
    mmengine.dump(value, str(tmp_path / 'a.yaml'))
    assert mmengine.load(str(tmp_path / 'a.yaml')) == value


@pytest.mark.parametrize('kind', ['npy', 'npz', 'pickle'])
def test_command_in_a_file_of_numpy(tmp_path, kind):
    path, ran = tmp_path / 'a.npz', tmp_path / 'ran'
    array = np.array(dict(a=Command(ran)), dtype=object)
    if kind == 'npz':
        np.savez(path, train_data=array)
    elif kind == 'npy':
        with path.open('wb') as file:
            np.save(file, array)
    else:
        path.write_bytes(pickle.dumps(Command(ran)))
    dataset = object.__new__(H36MWholeBodyDataset)
    with pytest.raises(UnsafeFileError, match=r'a\.npz.*mkdir'):
        dataset._load_ann_file(str(path))
    assert not ran.exists()


def test_objects_of_numpy_that_are_plain(tmp_path):
    path = tmp_path / 'a.npz'
    value = dict(S1=dict(act=np.zeros((2, 3)), names=['a']))
    arrays = dict.fromkeys(('train_data', 'metadata', 'bbox'), value)
    np.savez(path, numbers=np.zeros(3), **arrays)
    check_arrays(path)
    dataset = object.__new__(H36MWholeBodyDataset)
    dataset._load_ann_file(str(path))
    assert dataset.ann_data['S1']['names'] == ['a']
