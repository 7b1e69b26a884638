"""A trained ViTPose as a folder that transformers loads.

    OUT/
        config.json                sizes, decoder, id2label of the keypoints
        preprocessor_config.json   input size, mean and deviation
        model.safetensors          weights
        README.md                  a model card, as the Hub shows it

transformers is not required to write it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.layers.pos_embed import guess_grid_size
from gtpt_mm.models.backbones.vitpose import PATCH_SIZE, ViTPose

from ..files import write_state_dict
from ..multi_dataset import find_expert
from . import huggingface, native

CONFIG, PREPROCESSOR, WEIGHTS, CARD = (
    'config.json',
    'preprocessor_config.json',
    'model.safetensors',
    'README.md',
)
#: Mean and deviation of the pixels, 0 to 255, of all ViTPose.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
#: Backbones of a ViTPose here and in mmpose, heads, and options of backbones
#: that transformers has at these values only.
BACKBONES = ('ViTPose', 'mmpretrain.VisionTransformer')
HEADS = ('HeatmapHead', 'FrozenPredictorHead', 'MultiDatasetHead')
FIXED: dict[str, tuple] = dict(
    patch_stride=(PATCH_SIZE,),
    patch_padding=(None, 2),
    attention=(None, {}),
    knowledge_dims=(None,),
)
FILTERS = 256  # of the deconvolutions
EPS = 1e-6
#: Scale of a box in transformers and by default in mmpose.
BOX_PADDING = 1.25

CARD_TEXT = """\
---
library_name: transformers
pipeline_tag: keypoint-detection
tags: [vitpose, pose-estimation, gtpt_mm]
---
# {name}

A {kind} for {num} keypoints at {size}, trained with gtpt_mm.

Keypoints: {keypoints}.
{about}
```python
import torch
from PIL import Image
from transformers import AutoImageProcessor, VitPoseForPoseEstimation

processor = AutoImageProcessor.from_pretrained('{name}')
model = VitPoseForPoseEstimation.from_pretrained('{name}')
image = Image.open('picture.jpg')
boxes = [[[0, 0, image.width, image.height]]]  # x, y, width, height
inputs = processor(image, boxes=boxes, return_tensors='pt')
{choice}with torch.no_grad():
    outputs = model(**inputs)
[poses] = processor.post_process_pose_estimation(outputs, boxes=boxes)
for i, xy in zip(poses[0]['labels'], poses[0]['keypoints']):
    print(model.config.id2label[int(i)], xy.tolist())
```
{notes}"""


class HandedBack(NamedTuple):
    """Content of a folder for transformers.

    Attributes:
        weights: Tensors under the names of transformers.
        config: Content of ``config.json``.
        preprocessor: Content of ``preprocessor_config.json``.
        notes: Sentences about the differences in transformers.
    """

    weights: dict[str, Tensor]
    config: dict[str, Any]
    preprocessor: dict[str, Any]
    notes: list[str]


def hand_back(
    state_dict: dict[str, Tensor],
    names: Sequence[str],
    cfg: Mapping | None = None,
    links: Sequence[Sequence[int]] = (),
    head: str | None = None,
) -> HandedBack:
    """Return a ViTPose or ViTPose++ in the format of transformers.

    Args:
        state_dict: Native weights.
        names: Names of the keypoints of the head that is kept.
        cfg: Config of the model, with at least ``model``; None takes a
            released ViTPose of the size that the weights have.
        links: Pairs of keypoints of the skeleton, for drawing.
        head: For a ViTPose++, the dataset whose head is kept beside all
            experts; see :func:`choose_head`.

    Raises:
        ValueError: If transformers has no such model, names or config do not
            match the weights, or the expert of the head is unknown.
    """
    model = (cfg or {}).get('model', {})
    heads = native.find_datasets(state_dict)
    if heads:
        head = choose_head(state_dict, head)
    elif head is not None:
        raise ValueError(
            f'head={head!r} is for a ViTPose++, this is a plain one'
        )
    weights, _ = huggingface.export(state_dict, head)
    num = len(weights['head.conv.weight'])
    if num != len(names):
        raise ValueError(
            f'the head has {num} keypoints, the names are {len(names)}: '
            f'{", ".join(names)}'
        )
    backbone = _describe_backbone(state_dict, model)
    config = dict(
        architectures=['VitPoseForPoseEstimation'],
        model_type='vitpose',
        backbone_config=backbone,
        **_describe_decoder(weights, model),
        id2label={str(i): name for i, name in enumerate(names)},
        label2id={name: i for i, name in enumerate(names)},
        edges=[[int(i) for i in link] for link in links],
        dtype='float32',
    )
    if heads:
        num_experts = native.count_experts(state_dict)
        index = find_expert(heads, num_experts, str(head))
        config['dataset'] = dict(name=head, index=index)
    return HandedBack(
        weights,
        config,
        _describe_preprocessor(backbone['image_size'], model),
        _find_differences(cfg or {}, head),
    )


def choose_head(state_dict: dict[str, Tensor], head: str | None) -> str:
    """Return the dataset of a ViTPose++ whose head transformers gets.

    By default that of a dataset which the released models do not have, the
    last if there are several; else COCO's.

    Raises:
        ValueError: If there is no such head.
    """
    heads = native.find_datasets(state_dict)
    own = [name for name in heads if name not in native.DATASETS]
    head = head or (own or [native.DATASETS[0]])[-1]
    if head not in heads:
        raise ValueError(
            f'no head of {head!r}; the checkpoint has heads of {heads}'
        )
    return head


def write_folder(folder: str | Path, content: HandedBack) -> None:
    """Write the four files, each whole or not at all; config.json last."""
    folder = Path(folder)
    write_state_dict(folder / WEIGHTS, content.weights, None)
    texts = {
        CARD: _write_card(content, folder.resolve().name),
        PREPROCESSOR: json.dumps(content.preprocessor, indent=2) + '\n',
        CONFIG: json.dumps(content.config, indent=2) + '\n',
    }
    for name, text in texts.items():
        with atomic_write(folder / name) as file:
            file.write_text(text, encoding='utf-8')


def _describe_backbone(
    state_dict: dict[str, Tensor], model: Mapping
) -> dict[str, Any]:
    """Return ``backbone_config``."""
    options = model.get('backbone', {})
    _check_backbone(options)
    weight = state_dict['backbone.patch_embed.proj.weight']
    hidden_size, patch = len(weight), tuple(weight.shape[2:])
    if patch != (PATCH_SIZE,) * 2:
        raise ValueError(
            f'patches of {patch} pixels, transformers has 16 x 16'
        )
    depth = 1 + max(int(k.split('.')[2]) for k in state_dict if '.norm1.' in k)
    ratio, rest = divmod(
        len(state_dict['backbone.layers.0.mlp.fc1.bias']), hidden_size
    )
    if rest:
        raise ValueError(
            'the feed-forward networks are not a whole number of times as '
            f'wide as the {hidden_size} channels, which transformers requires'
        )
    described = dict(
        model_type='vitpose_backbone',
        image_size=_find_image_size(state_dict, model),
        patch_size=[PATCH_SIZE] * 2,
        hidden_size=hidden_size,
        num_hidden_layers=depth,
        num_attention_heads=_find_num_heads(hidden_size, options),
        mlp_ratio=ratio,
        layer_norm_eps=EPS,
        out_indices=[depth],
    )
    if num_experts := native.count_experts(state_dict):
        expert = state_dict['backbone.layers.0.mlp.experts.0.bias']
        described |= dict(num_experts=num_experts, part_features=len(expert))
    return described


def _check_backbone(options: Mapping) -> None:
    """Raise if transformers lacks an option of the backbone."""
    kind = options.get('type', BACKBONES[0])
    if kind not in BACKBONES:
        raise ValueError(
            f'the config has a {kind}, not the ViTPose of the weights'
        )
    for key, values in FIXED.items():
        if options.get(key, values[0]) not in values:
            raise ValueError(
                f'transformers has no ViTPose with {key}='
                f'{options[key]!r}, only {values[-1]!r}'
            )


def _find_num_heads(hidden_size: int, options: Mapping) -> int:
    """Return the number of attention heads, which weights do not show."""
    arch = options.get('arch')
    if isinstance(arch, Mapping):
        if arch['embed_dims'] != hidden_size:
            raise ValueError(
                f'the config has {arch["embed_dims"]} channels, the weights '
                f'have {hidden_size}'
            )
        return arch['num_heads']
    for settings in ViTPose.arch_settings.values():
        if settings['embed_dims'] == hidden_size:
            return settings['num_heads']
    raise ValueError(
        f'a ViTPose of {hidden_size} channels is none of the released sizes: '
        'give the config that it was trained with, --config FILE, which tells '
        'the number of attention heads'
    )


def _find_image_size(
    state_dict: dict[str, Tensor], model: Mapping
) -> list[int]:
    """Return the input size [h, w] of the position table."""
    rows = state_dict[native.POSITIONS].shape[1]
    size = model.get('backbone', {}).get('img_size')
    if size is None:
        grid = guess_grid_size(rows)
        if grid is None:
            raise ValueError(
                f'{rows} positions form no grid of 4 : 3 or 1 : 1; give the '
                'config of the model, --config FILE'
            )
        size = [PATCH_SIZE * n for n in grid]
    height, width = size
    if height % PATCH_SIZE or width % PATCH_SIZE:
        raise ValueError(
            f'an input of {height} x {width} pixels; transformers requires '
            f'multiples of {PATCH_SIZE}'
        )
    if height * width != rows * PATCH_SIZE**2:
        raise ValueError(
            f'the config has an input of {height} x {width} pixels, the '
            f'weights have {rows} positions; give the config that they were '
            'trained with'
        )
    return [height, width]


def _describe_decoder(
    weights: Mapping[str, Tensor], model: Mapping
) -> dict[str, Any]:
    """Return the options of the decoder."""
    head = model.get('head', {})
    if head.get('type', HEADS[0]) not in HEADS:
        raise ValueError(
            f'transformers has no {head["type"]}, only the classic and the '
            'simple decoder of heatmaps (HeatmapHead)'
        )
    if 'head.deconv1.weight' in weights:
        for name in ('head.deconv1.weight', 'head.deconv2.weight'):
            _, filters, *kernel = weights[name].shape
            if (filters, kernel) != (FILTERS, [4, 4]):
                raise ValueError(
                    f'deconvolutions with {filters} filters of {kernel} '
                    f'pixels; the classic decoder of transformers has '
                    f'{FILTERS} of [4, 4]'
                )
        return dict(use_simple_decoder=False, scale_factor=4)
    neck = model.get('neck') or dict(apply_relu=True, scale_factor=4)
    factor = neck.get('scale_factor', 1)
    if not neck.get('apply_relu') or factor != int(factor):
        raise ValueError(
            'the simple decoder of transformers has a ReLU and a whole '
            f'scale_factor before its convolution, the config has {neck}'
        )
    return dict(use_simple_decoder=True, scale_factor=int(factor))


def _describe_preprocessor(
    image_size: Sequence[int], model: Mapping
) -> dict[str, Any]:
    """Return the content of ``preprocessor_config.json``."""
    options = model.get('data_preprocessor') or {}
    if options and not options.get('bgr_to_rgb'):
        raise ValueError(
            'the data_preprocessor gives the model BGR pixels; transformers '
            'gives RGB'
        )
    mean, std = options.get('mean', MEAN), options.get('std', STD)
    return dict(
        image_processor_type='VitPoseImageProcessor',
        size=dict(height=image_size[0], width=image_size[1]),
        do_affine_transform=True,
        normalize_factor=200.0,
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=[round(value / 255, 8) for value in mean],
        image_std=[round(value / 255, 8) for value in std],
    )


def _find_differences(cfg: Mapping, head: str | None) -> list[str]:
    """Explain why keypoints differ although heatmaps are equal."""
    notes = []
    model = cfg.get('model', {})
    if model.get('test_cfg', {}).get('flip_test'):
        notes.append(
            'Tested with flip_test here; transformers predicts without.'
        )
    options = model.get('head', {})
    options = (
        options.get('shared', {}) | options.get('heads', {}).get(head, {})
        if 'heads' in options
        else options
    )
    codec = (options.get('decoder') or cfg.get('codec') or {}).get('type')
    if codec not in (None, 'UDPHeatmap'):
        notes.append(
            f'Trained with {codec}; transformers crops and decodes as '
            'UDPHeatmap, which moves keypoints by up to a pixel of the '
            'heatmap.'
        )
    padding = _find_box_padding(cfg)
    if padding != BOX_PADDING:
        notes.append(
            f'Boxes were enlarged by {padding}, transformers enlarges by '
            f'{BOX_PADDING}: multiply widths and heights of boxes by '
            f'{padding / BOX_PADDING:.4g} around their centers.'
        )
    return notes


def _find_box_padding(cfg: Mapping) -> float:
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    for step in loader.get('dataset', {}).get('pipeline', ()):
        if step.get('type') == 'GetBBoxCenterScale':
            return step.get('padding', BOX_PADDING)
    return BOX_PADDING


def _write_card(content: HandedBack, name: str) -> str:
    """Return a model card with the lines that predict."""
    config = content.config
    backbone, dataset = config['backbone_config'], config.get('dataset')
    height, width = backbone['image_size']
    about, choice = '', ''
    if dataset:
        about = (
            f'\nAll {backbone["num_experts"]} experts are in the file, and '
            f'the head of {dataset["name"]}: always give '
            f'`dataset_index={dataset["index"]}`.\n'
        )
        choice = (
            "inputs['dataset_index'] = torch.full((len(boxes[0]),), "
            f'{dataset["index"]})\n'
        )
    return CARD_TEXT.format(
        name=name,
        kind='ViTPose++' if dataset else 'ViTPose',
        num=len(config['id2label']),
        size=f'{height}x{width}',
        keypoints=', '.join(config['id2label'].values()),
        about=about,
        choice=choice,
        notes=''.join(f'\n{note}\n' for note in content.notes),
    )
