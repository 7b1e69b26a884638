"""Find the keypoints that the weights of a checkpoint predict."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.apis.inference import dataset_meta_from_config
from torch import Tensor

from gtpt_mm.compat.data.metainfo import STOCK_METAINFO, parse_metainfo
from gtpt_mm.config_folder import find_configs

from .saved_config import read_saved_config
from .skeletons import count_keypoints, list_names

#: mmpose's names of skeletons that heads of the released ViTPose++ rename.
ALIASES = dict(wholebody='coco_wholebody', apt36k='ap10k')
#: Skeletons of released weights, which store no names, by number of keypoints.
RELEASED = {16: 'mpii', 17: 'coco', 133: 'coco_wholebody'}
WHOLE_BODY = '_base_/models/gtpt_coco_wholebody.py'
#: Label that transformers gives to keypoints without names.
_NO_LABEL = re.compile(r'LABEL_\d+')


class Keypoints(NamedTuple):
    """Keypoints that weights predict.

    Attributes:
        names: Their names, in order.
        where: Description of the source of the names.
        links: Pairs of keypoints that the skeleton connects.
    """

    names: list[str]
    where: str
    links: Sequence[Sequence[int]] = ()


def read_names(source: str | Sequence[str]) -> list[str]:
    """Return the names of the keypoints of a skeleton.

    Args:
        source: Name of a skeleton of mmpose, such as ``coco``, ``aic``,
            ``ap10k`` or ``coco_wholebody``; a file with ``dataset_info``; or
            the names themselves.

    Raises:
        ValueError: If there is no such skeleton.

    Example:
        >>> read_names('mpii')[:2]
        ['right_ankle', 'right_knee']
    """
    if not isinstance(source, str):
        return list(source)
    return list_names(_read_skeleton(source))


def _read_skeleton(source: str) -> dict:
    file = source
    if not source.endswith('.py'):
        file = str(STOCK_METAINFO / f'{ALIASES.get(source, source)}.py')
    try:
        return parse_metainfo(file)
    except (OSError, AssertionError) as error:
        raise ValueError(
            f'there is no skeleton {source!r}: give the name of one of mmpose '
            "(such as 'coco'), the file of a metainfo, or a list of names: "
            f'{error}'
        ) from error


def _make_keypoints(metainfo: Mapping, where: str) -> Keypoints:
    links = metainfo.get('skeleton_links', ())
    return Keypoints(list_names(metainfo), where, links)


def find_names(
    state_dict: Mapping[str, Tensor],
    meta: Mapping | None = None,
    file: str | Path = '',
    dataset: str | None = None,
) -> Keypoints | None:
    """Return the keypoints of weights, None if they are unknown.

    They are read from the ``dataset_meta`` that a training saves, or from the
    ``config.json`` of transformers beside the file. Weights with neither are
    taken for released ones: a head of ViTPose++ has the keypoints of its
    dataset, other weights those of COCO, MPII or COCO-WholeBody, by their
    number.

    Args:
        state_dict: Native weights.
        meta: Entry ``meta`` of the checkpoint.
        file: File of the weights.
        dataset: Name of the head of a ViTPose++ whose keypoints are returned.
    """
    metainfo = (meta or {}).get('dataset_meta') or {}
    if dataset is not None:
        metainfo = metainfo.get('datasets', {}).get(dataset, {})
    if metainfo.get('keypoint_id2name'):
        return _make_keypoints(metainfo, 'the checkpoint')
    num = count_keypoints(state_dict, dataset)
    labels = _read_labels(Path(file).parent) if file else []
    if labels and len(labels) == num:
        return Keypoints(labels, 'config.json')
    skeleton = dataset
    if dataset is None and not (meta or {}).get('dataset_meta'):
        skeleton = RELEASED.get(num or 0)
    if skeleton is None:
        return None
    try:
        found = _make_keypoints(
            _read_skeleton(skeleton), f'{skeleton}, taken for released weights'
        )
    except ValueError:  # a head of another dataset
        return None
    return found if len(found.names) == num else None


def read_config_names(cfg: Config, dataset: str | None = None) -> Keypoints:
    """Return the keypoints of the dataset that a config trains with.

    Args:
        cfg: The config.
        dataset: Name of one of several datasets.

    Raises:
        ValueError: If the config has no such dataset.
    """
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    for split in ('train', 'val', 'test'):
        part = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
        if part and dataset is not None and 'datasets' in part:
            part = part.datasets.get(dataset)
        if part:
            loader = dict(train_dataloader=dict(dataset=part))
            metainfo = dataset_meta_from_config(Config(loader))
            return _make_keypoints(metainfo, 'the config')
    raise ValueError(
        f'the config has no dataset {dataset or ""} whose keypoints have names'
    )


def _read_labels(folder: Path) -> list[str]:
    """Return the labels of transformers' ``config.json``; [] for none."""
    try:
        content = json.loads((folder / 'config.json').read_text())
        labels = content.get('id2label') or {}
        names = [labels[str(i)] for i in range(len(labels))]
    except (OSError, ValueError, KeyError, AttributeError):
        return []
    return [] if all(map(_NO_LABEL.fullmatch, names)) else names


def find_groups(
    meta: Mapping | None, num_keypoints: int
) -> Sequence[dict] | None:
    """Return the ``keypoint_groups`` of a GTPT; None for its default.

    Args:
        meta: Entry ``meta`` of the checkpoint, which may contain a config.
        num_keypoints: Keypoints of the weights.
    """
    backbone = read_saved_config(meta).get('model', {}).get('backbone', {})
    if 'keypoint_groups' in backbone:
        return backbone['keypoint_groups']
    if num_keypoints == max(RELEASED):
        cfg = Config.fromfile(find_configs() / WHOLE_BODY)
        return cfg.model.backbone.keypoint_groups
    return None
