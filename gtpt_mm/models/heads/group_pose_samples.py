"""What ``GroupPoseHead`` reads of metainfo and of data samples."""

# G people of an image

from pathlib import Path

import numpy as np
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.structures import PoseDataSample
from mmpose.utils.tensor_utils import to_numpy
from torch import Tensor

#: Who gives a data sample the sizes that the head reads.
GIVERS = dict(
    batch_input_shape="the data preprocessor, type='PoseDataPreprocessor'",
    img_shape='PackPoseInputs by its meta_keys',
    input_size='GroupPoseResize, and PackPoseInputs by its meta_keys',
)
#: Where mmpose looks for its own skeletons, whatever the current folder.
STOCK_METAINFO = Path('configs/_base_/datasets')


def parse_metainfo(metainfo: str | dict) -> dict:
    """Parse a skeleton, but no file of mmpose in the place of a missing one.

    Args:
        metainfo: A file, or a dict that ``parse_pose_metainfo`` takes.

    Raises:
        ValueError: If there is no such file. mmpose would look for one of
            that name among its own, wherever it was said to be.
    """
    if isinstance(metainfo, str):
        metainfo = dict(from_file=metainfo)
    file = metainfo.get('from_file')
    is_stock = file and Path(file).parent == STOCK_METAINFO
    if file and not is_stock and not Path(file).is_file():
        raise ValueError(
            f'the file of metainfo, {file!r}, does not exist; for a skeleton '
            f'of mmpose write {STOCK_METAINFO}/NAME.py'
        )
    return parse_pose_metainfo(metainfo)


def read_size(sample: PoseDataSample, name: str) -> tuple[int, int]:
    """Return two numbers of the sample's ``metainfo``.

    Raises:
        ValueError: If there is no such field; says who sets it.
    """
    if name not in sample.metainfo:
        raise ValueError(
            f'a data sample has no {name}, which is given by {GIVERS[name]}'
        )
    return tuple(sample.metainfo[name][:2])


def read_instances(sample: PoseDataSample, name: str) -> np.ndarray:
    """Return a field of ``gt_instances``.

    Raises:
        ValueError: If there is none.
    """
    instances = sample.get('gt_instances', {})
    if name not in instances:
        raise ValueError(
            f'a data sample has no {name} in gt_instances, so nothing can be '
            'learned from it; train on a data set that loads people, as '
            'CocoPeopleDataset with test_mode=False'
        )
    return to_numpy(instances.get(name))


def find_areas(sample: PoseDataSample) -> Tensor | np.ndarray:
    """Return the areas of the people, (G,), in square pixels.

    Raises:
        ValueError: If there are none.
    """
    for name in ('gt_instance_labels', 'gt_instances'):
        if name in sample and 'areas' in sample.get(name):
            return sample.get(name).areas
    raise ValueError(
        'no areas in gt_instance_labels or gt_instances: OKS needs the area '
        'of each person; let the pipeline pack it by '
        "dict(type='GenerateTarget', encoder=dict(type='GroupPoseLabel'))"
    )
