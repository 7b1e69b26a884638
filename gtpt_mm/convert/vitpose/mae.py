"""Encoders pretrained as masked autoencoders (MAE), to start a training.

Formats are those of FAIR, with the names of timm, and of mmpretrain. mmpose's
mirror has the names of mmpretrain and no class token. A prefix ``encoder.`` is
allowed, as in files of other pretrainings (MoBY).

Source: the loading function of the official code; the paper does not describe
it. The last norm of the encoder is not loaded: ViTPose's starts at 1 and 0.
"""

# N image tokens, C channels, (h, w) token grid

from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from gtpt_mm.layers.pos_embed import resize_pos_embed
from gtpt_mm.models import ViTPose
from gtpt_mm.models.backbones.vitpose import PATCH_SIZE

from ..names import NameTable
from . import mmpose, native, official

PATCH_PADDINGS = ('pad', 'bilinear', 'bicubic')
#: Names of each project, and tensors that no native backbone has (class and
#: mask token, the last norm of the encoder, decoder, classifier).
LAYOUTS = {
    'timm': (
        NameTable(official.BACKBONE),
        r'backbone\.(cls_token|mask_token|(fc_)?norm\..+|decoder_.+|head\..+)',
    ),
    'mmpretrain': (
        NameTable(mmpose.BACKBONE),
        r'backbone\.(cls_token|mask_token|ln1\..+)|neck\..+',
    ),
}


def find_mae_layout(state_dict: dict[str, Tensor]) -> str | None:
    """Return the key of ``LAYOUTS`` of an encoder, None if it is none."""
    state_dict, _ = _take_encoder(state_dict)
    keys = set(state_dict)
    if 'blocks.0.norm1.weight' in keys:
        return 'timm'
    if 'layers.0.ln1.weight' in keys:
        return 'mmpretrain'
    if 'backbone.layers.0.ln1.weight' in keys:
        return None if keys >= mmpose.MARKS else 'mmpretrain'
    return None


def find_patch_grid(img_size: tuple[int, int]) -> tuple[int, int]:
    """Return the token grid (h, w) of ViTPose for an image (h, w) in pixels.

    Example:
        >>> find_patch_grid((256, 192))
        (16, 12)
    """
    with torch.random.fork_rng(devices=[]):  # only its grid matters
        arch = dict(embed_dims=1, depth=1, num_heads=1)
        return ViTPose(arch, img_size).grid_size


def convert_mae(
    state_dict: dict[str, Tensor],
    grid_size: tuple[int, int],
    patch_padding: str = 'pad',
) -> native.ConvertedViTPose:
    """Return a pretrained encoder as weights of a native backbone.

    They also load into a ViTPose++, see ``ExpertMLP``.

    Args:
        state_dict: The encoder, with or without its decoder.
        grid_size: Token grid (h, w) to bring the positions to, bicubic.
        patch_padding: How patches smaller than 16 x 16 pixels
            (14 x 14 in MAE's ViT-H) are enlarged: ``'pad'`` with zeros around
            them, or by ``'bilinear'`` or ``'bicubic'`` interpolation.

    Returns:
        The weights of the backbone without ``last_norm``, under native names
        with ``backbone.`` in front; and the names that were left out.

    Raises:
        ValueError: If it is not such an encoder, keys are unknown or missing,
            or positions or patches cannot be resized.
    """
    name = find_mae_layout(state_dict)
    if name is None:
        raise ValueError(
            'not an encoder of MAE under the names of FAIR or mmpretrain; '
            f'its first keys are {list(state_dict)[:5]}'
        )
    names, leftovers = LAYOUTS[name]
    encoder, others = _take_encoder(state_dict)
    prefixed = {
        k if k.startswith(('backbone.', 'neck.')) else f'backbone.{k}': value
        for k, value in encoder.items()
    }
    converted, left_out = native.rename_all(
        prefixed, names, leftovers, with_head=False
    )
    left_out.extend(others)
    positions, num_extra = _find_grid(converted[native.POSITIONS], grid_size)
    if num_extra and name == 'mmpretrain':  # of the class token only
        left_out.append('backbone.pos_embed[:, :1]')
    elif num_extra:
        positions = positions + converted[native.POSITIONS][:, :1]
    converted[native.POSITIONS] = positions
    weight = 'backbone.patch_embed.proj.weight'
    converted[weight] = _enlarge_patches(converted[weight], patch_padding)
    return native.ConvertedViTPose(converted, left_out)


def _take_encoder(
    state_dict: dict[str, Tensor],
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors below ``encoder.`` or all, and the other names.

    The official code also reads only the encoder.
    """
    state_dict = native.strip_module(state_dict)
    prefix = 'encoder.'
    encoder = {
        key.removeprefix(prefix): value
        for key, value in state_dict.items()
        if key.startswith(prefix)
    }
    others = [key for key in state_dict if not key.startswith(prefix)]
    return (encoder, others) if encoder else (state_dict, [])


def _find_grid(
    table: Tensor, grid_size: tuple[int, int]
) -> tuple[Tensor, int]:
    """Return the positions of the patches on the grid of the model.

    Pretraining uses square images, so the table is a square, with or without a
    row for the class token; or it already has this grid.

    Returns:
        Positions, (1, N, C); and the rows before them in the file, 0 or 1.
    """
    num_rows = table.shape[1]
    num_tokens = grid_size[0] * grid_size[1]
    for num_extra in (1, 0):
        num_patches = num_rows - num_extra
        side = isqrt(num_patches)
        patches = table[:, num_extra:]
        if side * side == num_patches:
            patches = resize_pos_embed(patches, (side, side), grid_size)
            return patches, num_extra
        if num_patches == num_tokens:
            return patches, num_extra
    raise ValueError(
        f'a position table of {num_rows} rows is neither a square nor the '
        f'grid (h, w) = {tuple(grid_size)}, with or without a class token'
    )


def _enlarge_patches(weight: Tensor, patch_padding: str) -> Tensor:
    """Bring the kernel of the patch embedding, (C, 3, p, p), to 16 x 16."""
    if patch_padding not in PATCH_PADDINGS:
        raise ValueError(
            f'patch_padding must be one of {list(PATCH_PADDINGS)}, got '
            f'{patch_padding!r}'
        )
    height, width = weight.shape[2:]
    if height != width or width > PATCH_SIZE:
        raise ValueError(
            f'patches of {height} x {width} pixels; at most {PATCH_SIZE} x '
            f'{PATCH_SIZE} can be brought to that size'
        )
    if width == PATCH_SIZE:
        return weight
    if patch_padding == 'pad':
        before = (PATCH_SIZE - width) // 2
        after = PATCH_SIZE - width - before
        return F.pad(weight, (before, after, before, after))
    return F.interpolate(
        weight, (PATCH_SIZE,) * 2, mode=patch_padding, align_corners=False
    )
