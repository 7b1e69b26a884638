"""A share of a dataset, in as many steps as the whole."""

import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS

from gtpt_mm.datasets import RepeatedFraction


class Numbers(BaseDataset):
    """A hundred samples that know their number."""

    def load_data_list(self) -> list[dict]:
        return [dict(number=i) for i in range(100)]


@pytest.fixture
def whole():
    return Numbers(metainfo=dict(dataset_name='numbers'))


def numbers(dataset) -> list[int]:
    return [dataset[i]['number'] for i in range(len(dataset))]


@pytest.mark.parametrize('fraction', [0.1, 0.4, 0.6, 1.0])
def test_length_and_share(fraction, whole):
    part = RepeatedFraction(whole, fraction)
    assert len(part) == 100
    found, counts = np.unique(numbers(part), return_counts=True)
    assert len(found) == round(100 * fraction)
    assert counts.max() - counts.min() <= 1
    assert part.metainfo['dataset_name'] == 'numbers'


def test_choice_is_random_nested_and_repeatable(whole):
    few, more, again, other = (
        set(numbers(RepeatedFraction(whole, fraction, seed)))
        for fraction, seed in ((0.1, 0), (0.4, 0), (0.1, 0), (0.1, 1))
    )
    assert few == again != other
    assert few < more
    assert few != set(range(10))


def test_built_from_a_config_without_files():
    init_default_scope('mmpose')
    inner = dict(type='CocoDataset', lazy_init=True)
    dataset = dict(
        type='RepeatedFraction', fraction=0.2, dataset=inner, lazy_init=True
    )
    assert DATASETS.build(dataset).metainfo['num_keypoints'] == 17


@pytest.mark.parametrize('fraction', [0, -0.1, 10])
def test_bad_shares_are_named(fraction, whole):
    with pytest.raises(ValueError, match=str(fraction)):
        RepeatedFraction(whole, fraction)
