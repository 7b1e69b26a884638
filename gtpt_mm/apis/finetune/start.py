"""The weights that a training starts from."""

import os
import re
from pathlib import Path

import torch
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from torch import Tensor

from gtpt_mm import convert
from gtpt_mm.apis.model_names import resolve
from gtpt_mm.datasets.exchange.folder import METAINFO, OwnSet
from gtpt_mm.datasets.keypoint_names import match_names

from .families import Base

SCRATCH = 'scratch'
#: File of weights in folders of transformers and of ``gtpt-mm pack``.
FOLDER_WEIGHTS = 'model.safetensors'
#: Dataset whose head and experts initialise those of a new dataset.
LIKE = 'coco'
_HEAD = f'head.heads.{LIKE}.'


def find_start(base: Base, weights: str | None) -> str:
    """Return the file or URL to start from; '' for random weights.

    Args:
        base: The model.
        weights: ``'scratch'``; a file, a URL; a folder of transformers or of
            ``gtpt-mm pack``; a name of public weights; None for those of the
            model.

    Raises:
        ValueError: If there are none; the message says how to get some.
    """
    if weights == SCRATCH:
        return ''
    if weights is not None and os.path.isdir(weights):
        file = Path(weights) / FOLDER_WEIGHTS
        if not file.is_file():
            raise ValueError(
                f'{weights} has no {FOLDER_WEIGHTS}; give a folder of '
                'transformers or of `gtpt-mm pack`, or a file'
            )
        return str(file.absolute())
    try:
        found = resolve(base.cfg if weights else base.name, weights)[1]
    except ValueError as error:
        raise ValueError(
            f'{error}. To start from random weights: --from {SCRATCH}'
        ) from error
    assert found is not None
    return found if '://' in found else os.path.abspath(found)


def write_plus_start(
    source: str, key: str, number: int, own_set: OwnSet, path: Path
) -> str:
    """Write the weights of a ViTPose++ with one more dataset.

    Its experts, and its head without the last layer, start as those of COCO;
    the last layer takes the rows of keypoints with the same names.

    Args:
        source: File of a ViTPose++ with a head of COCO.
        key: Name of the new dataset.
        number: Number of experts of the source.
        own_set: The new dataset.
        path: File to write.

    Returns:
        A description of the changes.

    Raises:
        ValueError: If the source is not such a ViTPose++.
    """
    content = convert.read_checkpoint(source)
    weights = convert.convert_to_native(convert.find_weights(content))
    experts = convert.count_experts(weights)
    if LIKE not in convert.find_datasets(weights) or experts != number:
        raise ValueError(
            f'{source} is not a ViTPose++ of {number} datasets with a head of '
            f'{LIKE}; give another one, or --from {SCRATCH}'
        )
    added: dict[str, Tensor] = {}
    for name, value in weights.items():
        if re.search(r'\.experts\.0\.', name):
            new = name.replace('.experts.0.', f'.experts.{number}.')
            added[new] = value.clone()
        if name.startswith(_HEAD) and '.final_layer.' not in name:
            added[f'head.heads.{key}.{name.removeprefix(_HEAD)}'] = (
                value.clone()
            )
    rows, words = _copy_rows(weights, content.get('meta'), source, own_set)
    for part, value in rows.items():
        added[f'head.heads.{key}.final_layer.{part}'] = value
    convert.write_state_dict(path, {**weights, **added}, {})
    return (
        f'{key} is one more dataset of {Path(source).name}, like {LIKE}; '
        f'{words}'
    )


def _copy_rows(
    weights: dict[str, Tensor],
    checkpoint_meta: dict | None,
    source: str,
    own_set: OwnSet,
) -> tuple[dict[str, Tensor], str]:
    """Return weight and bias of a new head's last layer, and a description."""
    meta = parse_pose_metainfo(dict(from_file=str(own_set.folder / METAINFO)))
    names = [meta['keypoint_id2name'][k] for k in range(len(meta['sigmas']))]
    found = convert.find_names(weights, checkpoint_meta, source, LIKE)
    known = found.names if found else []
    matches = match_names(known, names)
    layer = {}
    for part in ('weight', 'bias'):
        old = weights[f'{_HEAD}final_layer.{part}']
        rows = torch.zeros(len(names), *old.shape[1:])
        if part == 'weight':
            rows.normal_(std=0.001)  # as a new layer
        for row, name in enumerate(names):
            if (match := matches[name]) is not None:
                rows[row] = old[known.index(match)]
        layer[part] = rows
    copied = sum(match is not None for match in matches.values())
    words = f'rows of {copied} of {len(names)} keypoints copied by name'
    return layer, words
