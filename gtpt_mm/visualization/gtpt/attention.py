"""Attention maps of the keypoints of a GTPT, layer by layer."""

# B batch, P chosen keypoints, G groups, M image rows of a group, L layers,
# H heads, C channels, (h, w) patch grid

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from gtpt_mm.layers.group_attention import GroupAttention
from gtpt_mm.layers.tokens import Tokens
from gtpt_mm.models.backbones import GTPT, Step
from gtpt_mm.visualization.canvas import panel, stack, tile, with_heading

from .crops import Crop
from .pruning import fade_dropped


@torch.no_grad()
def trace_attention(
    backbone: GTPT,
    img: Tensor,
    keypoints: Sequence[int],
    pruned: bool = True,
) -> Tensor:
    """Return how much each image patch weighs for a keypoint in each layer.

    The weights are the softmax over all tokens that the keypoint's token
    attends to, averaged over the heads. The share of keypoint tokens is left
    out, so a map sums to less than one. A keypoint without a token is
    represented by the token that it will be created from: its part (for a
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
        ValueError: If the backbone is in training mode or has no such
            keypoint.

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
    backbone.groups.check_indices(keypoints)
    maps: list[Tensor] = []

    def note(step: Step, tokens: Tokens, q: Tensor, k: Tensor) -> None:
        layout = backbone.groups.layout(step.stage)
        _, indices = layout.split(tokens.indices)  # (B, G, M)
        rows, group = backbone.groups.locate(keypoints, step.stage, q.shape[1])
        keys = layout.keys(k)[:, group]  # (B, P, keys, C)
        attn = backbone.get_submodule(f'layers.{step.layer - 1}.attn')
        assert isinstance(attn, GroupAttention)
        logits = attn.logits(q[:, rows].unsqueeze(2), keys)
        mask = layout.key_mask(keys.shape[2])
        if mask is not None:
            logits = logits.masked_fill(~mask[group], -torch.inf)
        weights = logits.softmax(dim=-1).mean(dim=2).squeeze(2)
        weights = weights[:, :, -indices.shape[2] :]  # keypoints come first
        maps.append(_scatter(weights, indices[:, group], backbone.grid_size))

    backbone.trace(img, note, pruned)
    return torch.stack(maps)


def _scatter(
    weights: Tensor, indices: Tensor, grid_size: tuple[int, int]
) -> Tensor:
    """Put weights (B, P, M) on the patch grid, (B, P, h, w)."""
    num_patches = grid_size[0] * grid_size[1]
    # One extra column, for the rows of dense keypoints.
    maps = weights.new_full((*weights.shape[:2], num_patches + 1), torch.nan)
    indices = torch.where(indices < 0, num_patches, indices)
    maps.scatter_(2, indices, weights)
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
    h, w = weights.shape
    exists = ~weights.isnan()
    share = weights.nan_to_num() / weights.nan_to_num().max().clamp(min=1e-12)
    heat = np.kron(
        share.cpu().double().numpy(),
        np.ones((img.shape[0] // h, img.shape[1] // w)),
    )
    colour = cv2.applyColorMap(
        (255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO
    )
    grey = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)[..., None]
    mixed = (0.45 * grey + 0.55 * colour).astype(np.uint8)
    [indices] = exists.flatten().nonzero(as_tuple=True)
    return fade_dropped(mixed, indices, (h, w))


def draw_attention(
    backbone: GTPT,
    crop: Crop,
    keypoints: dict[str, int],
    layers: Sequence[int],
) -> np.ndarray:
    """Draw the attention maps of keypoints, unpruned and pruned.

    As in the paper's Fig. 9. For each keypoint: the layers of the unpruned
    model, then those of the pruned one, half of the layers in a row.

    Args:
        backbone: Backbone in evaluation mode.
        crop: Instance to draw.
        keypoints: Index by name.
        layers: Layers to show, counted from 1.
    """
    unpruned, pruned = (
        trace_attention(backbone, crop.inputs, [*keypoints.values()], flag)
        for flag in (False, True)
    )
    blocks = []
    for p, name in enumerate(keypoints):
        for maps, mode in ((unpruned, 'unpruned'), (pruned, 'pruned')):
            panels = [
                _panel(crop, maps[layer - 1, 0, p], f'layer {layer}')
                for layer in layers
            ]
            block = tile(panels, min(len(panels), backbone.depth // 2))
            blocks.append(with_heading(block, f'{name}, {mode}'))
    return stack(blocks)


def draw_shallow(
    backbone: GTPT, crop: Crop, keypoints: dict[str, int], layer: int
) -> np.ndarray:
    """Draw the attention maps of many keypoints in one layer.

    As in the paper's Fig. 10: the input, then one picture for each keypoint,
    six in a row, of the pruned model. The arguments are those of
    :func:`draw_attention`.
    """
    maps = trace_attention(backbone, crop.inputs, [*keypoints.values()])
    panels = [panel(crop.picture, 'input')]
    panels += [
        _panel(crop, weights, name)
        for name, weights in zip(keypoints, maps[layer - 1, 0], strict=True)
    ]
    return with_heading(tile(panels, min(len(panels), 6)), f'layer {layer}')


def _panel(crop: Crop, weights: Tensor, name: str) -> np.ndarray:
    """Draw one map, titled with the share of attention on the image."""
    share = weights.nansum().item()
    return panel(
        shade_attention(crop.picture, weights), f'{name}: {share:.0%}'
    )
