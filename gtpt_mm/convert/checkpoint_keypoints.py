"""Find which keypoints the weights of a checkpoint are of."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from torch import Tensor

from gtpt_mm.compat.data.metainfo import STOCK_METAINFO, parse_metainfo
from gtpt_mm.config_folder import find_configs

from .skeletons import count_keypoints, list_names

#: Skeletons of mmpose by other names: of heads of the released ViTPose++.
ALIASES = dict(wholebody='coco_wholebody', apt36k='ap10k')
#: Skeletons of released weights, which hold no names, by number of keypoints.
RELEASED = {16: 'mpii', 17: 'coco', 133: 'coco_wholebody'}
WHOLE_BODY = '_base_/models/gtpt_coco_wholebody.py'
#: What transformers calls keypoints without names.
_NO_LABEL = re.compile(r'LABEL_\d+')


class Keypoints(NamedTuple):
    """Names of the keypoints of some weights, and where they are from."""

    names: list[str]
    where: str


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
    file = source
    if not source.endswith('.py'):
        file = str(STOCK_METAINFO / f'{ALIASES.get(source, source)}.py')
    try:
        return list_names(parse_metainfo(file))
    except (OSError, AssertionError) as error:
        raise ValueError(
            f'there is no skeleton {source!r}: give the name of one of mmpose '
            "(such as 'coco'), the file of a metainfo, or a list of names: "
            f'{error}'
        ) from error


def find_names(
    state_dict: Mapping[str, Tensor],
    meta: Mapping | None = None,
    file: str | Path = '',
    dataset: str | None = None,
) -> Keypoints | None:
    """Return the names of the keypoints of weights, None if unknown.

    The ``dataset_meta`` that a training saves has them, or the
    ``config.json`` of transformers beside the file. Weights without either
    are taken for released ones: of the dataset of a head of ViTPose++, or of
    COCO, MPII or COCO-WholeBody by the number of keypoints.

    Args:
        state_dict: Native weights, of a single head.
        meta: Entry ``meta`` of the checkpoint.
        file: File of the weights.
        dataset: Name of the head that the weights had in a ViTPose++.
    """
    metainfo = (meta or {}).get('dataset_meta') or {}
    if dataset is not None:
        metainfo = metainfo.get('datasets', {}).get(dataset, {})
    if metainfo.get('keypoint_id2name'):
        return Keypoints(list_names(metainfo), 'the checkpoint')
    num = count_keypoints(state_dict)
    labels = _read_labels(Path(file).parent) if file else []
    if labels and len(labels) == num:
        return Keypoints(labels, 'config.json')
    skeleton = dataset or RELEASED.get(num or 0)
    if skeleton is None or (meta or {}).get('dataset_meta'):
        return None
    try:
        names = read_names(skeleton)
    except ValueError:  # a head of another dataset
        return None
    if len(names) != num:
        return None
    return Keypoints(names, f'{skeleton}, taken for released weights')


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
        meta: Entry ``meta`` of the checkpoint; the text of its config is
            read, not run.
        num_keypoints: Keypoints of the weights.
    """
    text = (meta or {}).get('cfg')
    if isinstance(text, str):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.keyword) and node.arg == 'keypoint_groups':
                return _evaluate(node.value)
    if num_keypoints == max(RELEASED):
        cfg = Config.fromfile(find_configs() / WHOLE_BODY)
        return cfg.model.backbone.keypoint_groups
    return None


def _evaluate(node: ast.expr) -> Any:
    """Return lists, dicts and ranges as mmengine writes them."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == 'range':
            return range(*map(ast.literal_eval, node.args))
        return {str(k.arg): _evaluate(k.value) for k in node.keywords}
    if isinstance(node, ast.List | ast.Tuple):
        return [_evaluate(element) for element in node.elts]
    return ast.literal_eval(node)
