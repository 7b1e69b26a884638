"""Errors of samples name dataset, image and ids; empty loaders are errors."""

import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import DATASETS

from gtpt_mm.compat.data.sample_errors import name_sample


class StubbornError(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(first, second)


@pytest.fixture
def dataset(shared_dir):
    """Return a function that builds a dataset whose pipeline fails."""
    init_default_scope('mmpose')
    folder = shared_dir / 'data/real/coco'

    def build(step, **options):
        return DATASETS.build(
            dict(
                type='CocoDataset',
                data_root=str(folder),
                ann_file='test_coco.json',
                data_prefix=dict(img=''),
                pipeline=[step],
                **options,
            )
        )

    return build


def fail(error):
    def step(results):
        raise error

    return step


PLACE = (
    r"sample 1 of dataset 'coco' \(CocoDataset, .*test_coco.json\), image "
    r'.*\.jpg, image id \d+, annotation id \d+'
)


@pytest.mark.parametrize('kind', [ValueError, KeyError, FileNotFoundError])
def test_the_sample_is_named_and_the_class_stays(dataset, kind):
    error = kind('bad pixel')
    with pytest.raises(kind, match=f'(?s){PLACE}.*bad pixel') as raised:
        dataset(fail(error))[1]
    assert raised.value.__cause__ is error


def test_an_error_that_needs_more_than_a_message(dataset):
    error = StubbornError(1, 2)
    with pytest.raises(RuntimeError, match='StubbornError') as raised:
        dataset(fail(error))[1]
    assert raised.value.__cause__ is error


def test_people_of_an_image(dataset):
    words = r'annotation id \[\d+.*bad'
    with pytest.raises(ValueError, match=words):
        dataset(fail(ValueError('bad')), data_mode='bottomup')[0]


def test_a_worker_names_the_sample(dataset):
    loader = torch.utils.data.DataLoader(
        dataset(fail(ValueError('bad pixel'))), num_workers=1
    )
    with pytest.raises(ValueError, match="(?s)sample 0 of dataset 'coco'"):
        next(iter(loader))


def test_an_error_is_named_once():
    """A dataset within another one names the sample."""

    class Inner(BaseDataset):
        prepare_data = name_sample(lambda self, idx: 1 // 0)

    inner = Inner(lazy_init=True)

    class Outer(BaseDataset):
        prepare_data = name_sample(lambda self, idx: inner.prepare_data(idx))

    with pytest.raises(ZeroDivisionError) as raised:
        Outer(lazy_init=True).prepare_data(3)
    assert str(raised.value).count('sample 3 of dataset') == 1
    assert '(Inner' in str(raised.value)


def loader(num: int, batch: int, drop_last: bool):
    class Numbers(BaseDataset):
        def load_data_list(self):
            return [dict(value=i) for i in range(num)]

    config = dict(
        dataset=Numbers(serialize_data=False),
        sampler=dict(type='DefaultSampler', shuffle=False),
        batch_size=batch,
        num_workers=0,
        drop_last=drop_last,
    )
    return Runner.build_dataloader(config)


def test_a_loader_without_a_batch():
    """Pitfall: "epoch_length must be a positive integer"."""
    assert len(loader(3, 4, drop_last=False)) == 1
    assert len(loader(4, 4, drop_last=True)) == 1
    words = 'Numbers of 3 samples gives no batch of 4: set batch_size'
    with pytest.raises(ValueError, match=words):
        loader(3, 4, drop_last=True)
    with pytest.raises(ValueError, match='Numbers has no sample'):
        loader(0, 4, drop_last=False)
