"""Where the keypoints of a GTPT look, layer by layer."""

# B batch, P chosen keypoints, G groups, M image rows of a group, L layers,
# C channels, (h, w) patch grid

import copy
from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
import torch
from mmpose.models import TopdownPoseEstimator
from torch import Tensor

from gtpt_mm.layers.group_attention import GroupAttention, TokenLayout
from gtpt_mm.models.backbones import GTPT, KeptTokens

from .canvas import panel, stack, tile, with_heading
from .crops import Crop, crop_people
from .keypoints import KeypointRows, Keypoints, find_keypoints
from .pruning import fade_dropped


@torch.no_grad()
def trace_attention(
    backbone: GTPT,
    img: Tensor,
    keypoints: Sequence[int],
    pruned: bool = True,
) -> Tensor:
    """Return how much each image patch weighs for a keypoint in each layer.

    The weights are the softmax over all that the keypoint's token attends
    to, averaged over the heads; the share of keypoint tokens is left out, so
    that a map sums to less than one. A keypoint without a token of its own
    yet is represented by the token that it will be born from: its part (a
    dense keypoint in the coarse encoder) or the human token.

    Source: Wang et al., "GTPT", ECCV 2024, supplement, Figs. 9 and 10.

    Args:
        backbone: A GTPT in evaluation mode.
        img: Preprocessed images, (B, 3, H, W).
        keypoints: Indices of P keypoints.
        pruned: Whether tokens are pruned; otherwise the same weights run
            with all keep rates 1.

    Returns:
        Maps, (L, B, P, h, w), one for each layer; NaN where the patch has
        been pruned before that layer, or displaced by dense keypoints.

    Raises:
        ValueError: If the backbone trains or has no such keypoint.

    Example:
        >>> backbone = GTPT('tiny').eval()
        >>> trace_attention(backbone, torch.rand(1, 3, 256, 192), [0]).shape
        torch.Size([12, 1, 1, 16, 16])
    """
    if backbone.training:
        raise ValueError(
            'the backbone is in training mode, where drawing would change '
            'BatchNorm statistics; call eval() first'
        )
    rows = KeypointRows(backbone.groups, keypoints)
    if not pruned:
        backbone = _unpruned(backbone)
    depth = len(backbone.layers)
    traced: dict[int, tuple[Tensor, Tensor]] = {}
    handles = [
        layer.attn.register_forward_pre_hook(
            partial(
                _trace_layer,
                traced,
                index,
                rows.coarse if index < depth // 2 else rows.fine,
            ),
            with_kwargs=True,
        )
        for index, layer in enumerate(backbone.layers)
    ]
    try:
        _, kept = backbone.trace_pruning(img)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(
        [
            _scatter(
                *traced[index],
                _key_places(kept, index, depth),
                backbone.grid_size,
            )
            for index in range(depth)
        ]
    )


def _unpruned(backbone: GTPT) -> GTPT:
    """Return a view of a backbone, with its weights, that prunes nothing."""
    view = copy.copy(backbone)
    num_patches = backbone.grid_size[0] * backbone.grid_size[1]
    view.num_keeps = [num_patches] * len(backbone.num_keeps)
    return view


def _trace_layer(
    traced: dict[int, tuple[Tensor, Tensor]],
    index: int,
    find: Callable[[TokenLayout, int], tuple[Tensor, Tensor]],
    attn: GroupAttention,
    args: tuple,
    kwargs: dict,
) -> None:
    """Note what the rows found by ``find`` attend to in one layer."""
    traced[index] = _attend(find, attn, *args, **kwargs)


def _attend(
    find: Callable[[TokenLayout, int], tuple[Tensor, Tensor]],
    attn: GroupAttention,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: TokenLayout,
) -> tuple[Tensor, Tensor]:
    """Return attention to image rows, (B, P, M), and each row's group."""
    row, group = (table.to(q.device) for table in find(layout, q.shape[1]))
    keys = layout.keys(k)[:, group]  # (B, P, keys, C)
    num_keys = keys.shape[2]
    logits = attn.logits(q[:, row].unsqueeze(2), keys)  # (B, P, H, 1, keys)
    readable = layout.key_mask(1, num_keys)
    if readable is not None:
        logits = logits.masked_fill(~readable[group], -torch.inf)
    weights = logits.softmax(dim=-1).mean(dim=2).squeeze(2)
    num_image = layout.split(k)[1].shape[2]
    return weights[:, :, num_keys - num_image :], group


def _key_places(
    kept: Sequence[KeptTokens], index: int, depth: int
) -> Tensor | None:
    """Return the patches that layer ``index`` reads, None for all.

    A layer that prunes still reads what it prunes.
    """
    places = None
    for step in kept:
        first = (
            depth // 2
            if step.stage == 'transition'
            else int(step.stage.removeprefix('layer')) + 1
        )
        if index >= first:
            places = step.places
    return places


def _scatter(
    weights: Tensor,
    group: Tensor,
    places: Tensor | None,
    grid_size: tuple[int, int],
) -> Tensor:
    """Put weights (B, P, M) on the patch grid, (B, P, h, w)."""
    if places is None:
        return weights.unflatten(2, grid_size)
    num_patches = grid_size[0] * grid_size[1]
    # One place more, for the rows of dense keypoints.
    maps = weights.new_full((*weights.shape[:2], num_patches + 1), torch.nan)
    places = places.expand(len(weights), -1, -1)[:, group]
    places = torch.where(places < 0, num_patches, places)
    maps.scatter_(2, places, weights)
    return maps[:, :, :num_patches].unflatten(2, grid_size)


def shade_attention(img: np.ndarray, weights: Tensor) -> np.ndarray:
    """Colour an image, turned grey, by the attention that its patches get.

    From dark (nothing) over purple and orange to bright yellow (the largest
    weight of this map); patches that do not exist are light grey.

    Args:
        img: Image, (H, W, 3), uint8, BGR.
        weights: Map, (h, w), with NaN for pruned patches; the grid divides
            the image evenly.

    Returns:
        Image, same shape.
    """
    grid_size = tuple(weights.shape)
    exists = ~weights.isnan()
    heat = weights.nan_to_num() / weights.nan_to_num().max().clamp(min=1e-12)
    heat = np.kron(
        heat.cpu().double().numpy(),
        np.ones((img.shape[0] // grid_size[0], img.shape[1] // grid_size[1])),
    )
    colour = cv2.applyColorMap(
        (255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO
    )
    grey = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)[..., None]
    mixed = (0.45 * grey + 0.55 * colour).astype(np.uint8)
    [places] = exists.flatten().nonzero(as_tuple=True)
    return fade_dropped(mixed, places, grid_size)


def draw_attention(
    model: TopdownPoseEstimator,
    img: np.ndarray,
    bboxes: np.ndarray | None = None,
    keypoints: Keypoints | None = None,
    layers: Sequence[int] | None = None,
) -> np.ndarray:
    """Draw the attention maps of keypoints, unpruned and pruned.

    As the paper's Fig. 9. For each person and keypoint: the layers of the
    unpruned model, then those of the pruned one, half of the layers in a
    row. The percentage is the share of the attention that goes to image
    patches; the rest goes to keypoint tokens.

    Args:
        model: Estimator with a GTPT backbone, from ``mmpose.apis.init_model``.
        img: Image, (H, W, 3), uint8, BGR.
        bboxes: Boxes (x1, y1, x2, y2), (N, 4); None is the whole image.
        keypoints: Names or indices; None is the first sparse keypoint of
            each group.
        layers: Layers to show, counted from 1; None is all.

    Returns:
        Picture, BGR, uint8.

    Raises:
        ValueError: If a keypoint or layer does not exist, the backbone is
            not a GTPT, ``bboxes`` is empty, or a box is empty or does not
            touch the image.
    """
    return stack(
        [
            draw_crop_attention(
                model.backbone, crop, model.dataset_meta, keypoints, layers
            )
            for crop in crop_people(model, img, bboxes)
        ]
    )


def draw_crop_attention(
    backbone: GTPT,
    crop: Crop,
    dataset_meta: dict,
    keypoints: Keypoints | None = None,
    layers: Sequence[int] | None = None,
) -> np.ndarray:
    """Draw one person; see :func:`draw_attention`."""
    chosen = find_keypoints(keypoints, dataset_meta, backbone.groups)
    depth = len(backbone.layers)
    layers = list(range(1, depth + 1) if layers is None else layers)
    _check_layers(backbone, layers)
    unpruned, pruned = (
        trace_attention(backbone, crop.inputs, [*chosen.values()], flag)
        for flag in (False, True)
    )
    blocks = []
    for place, name in enumerate(chosen):
        for maps, how in ((unpruned, 'unpruned'), (pruned, 'pruned')):
            panels = [
                _panel(crop, maps[layer - 1, 0, place], f'layer {layer}')
                for layer in layers
            ]
            block = tile(panels, min(len(panels), depth // 2))
            blocks.append(with_heading(block, f'{name}, {how}'))
    return stack(blocks)


def draw_shallow_attention(
    model: TopdownPoseEstimator,
    img: np.ndarray,
    bboxes: np.ndarray | None = None,
    keypoints: Keypoints | None = None,
    layer: int | None = None,
) -> np.ndarray:
    """Draw the attention maps of many keypoints in one layer.

    As the paper's Fig. 10: the input, then one picture for each keypoint,
    six in a row, of the pruned model. The paper calls its layer the 4th. In
    the authors' code keypoints are born after that layer's attention, so that
    its maps are those of the human token, equal for all keypoints; hence the
    5th by default.

    Args:
        model: Estimator with a GTPT backbone, from ``mmpose.apis.init_model``.
        img: Image, (H, W, 3), uint8, BGR.
        bboxes: Boxes (x1, y1, x2, y2), (N, 4); None is the whole image.
        keypoints: Names or indices; None is all sparse keypoints.
        layer: Layer to show, counted from 1; None is the first in which the
            keypoints have tokens of their own, 5 of 12.

    Returns:
        Picture, BGR, uint8.

    Raises:
        ValueError: If a keypoint or the layer does not exist, the backbone
            is not a GTPT, ``bboxes`` is empty, or a box is empty or does not
            touch the image.
    """
    return stack(
        [
            draw_crop_shallow(
                model.backbone, crop, model.dataset_meta, keypoints, layer
            )
            for crop in crop_people(model, img, bboxes)
        ]
    )


def draw_crop_shallow(
    backbone: GTPT,
    crop: Crop,
    dataset_meta: dict,
    keypoints: Keypoints | None = None,
    layer: int | None = None,
) -> np.ndarray:
    """Draw one person; see :func:`draw_shallow_attention`."""
    if keypoints is None:
        keypoints = backbone.groups.sparse
    chosen = find_keypoints(keypoints, dataset_meta, backbone.groups)
    if layer is None:
        layer = len(backbone.layers) // 4 + 2
    _check_layers(backbone, [layer])
    maps = trace_attention(backbone, crop.inputs, [*chosen.values()])
    panels = [
        _panel(crop, weights, name)
        for name, weights in zip(chosen, maps[layer - 1, 0], strict=True)
    ]
    panels = [panel(crop.picture, 'input'), *panels]
    return with_heading(tile(panels, min(len(panels), 6)), f'layer {layer}')


def _check_layers(backbone: GTPT, layers: Sequence[int]) -> None:
    """Raise a ValueError for layers that a backbone does not have."""
    depth = len(backbone.layers)
    wrong = [layer for layer in layers if not 1 <= layer <= depth]
    if wrong or not layers:
        raise ValueError(
            f'layers must lie in 1..{depth}, counted from 1, and be at least '
            f'one, got {list(layers)}'
        )


def _panel(crop: Crop, weights: Tensor, name: str) -> np.ndarray:
    """Draw one map, titled with the share of attention on the image."""
    share = weights.nansum().item()
    return panel(
        shade_attention(crop.picture, weights), f'{name}: {share:.0%}'
    )
