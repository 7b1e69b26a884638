"""One token sequence out of the feature maps of several levels."""

# B batch (1 where no image is padded), V tokens of all levels, Q queries,
# C channels, L levels, (h, w) map of a level

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .pos_embed import sine_point_embed
from .transfer import send


@dataclass(frozen=True)
class TokenMaps:
    """Layout of the tokens of several maps, which follow one another.

    Images of different sizes are padded at the bottom and on the right.

    Args:
        spatial_shapes: Size (h, w) of each level.
        level_sizes: The same as (w, h) on the device, (L, 2).
        valid_ratios: Part (x, y) of each map that is not padding, (B, L, 2).
        centers: Center (x, y) of each token in units of the part of its map
            that is not padding, (B, V, 2).
        cell_ends: Far corner (x, y) of each token in the same units, (B, V,
            2), for the position embedding; y is 0 in padded columns and x in
            padded rows.
        key_padding_mask: True for tokens of padding, (B, V); None if there
            are none.
    """

    spatial_shapes: list[tuple[int, int]]
    level_sizes: Tensor
    valid_ratios: Tensor
    centers: Tensor
    cell_ends: Tensor
    key_padding_mask: Tensor | None = None

    @classmethod
    def without_padding(
        cls, spatial_shapes: Sequence[tuple[int, int]], device: torch.device
    ) -> 'TokenMaps':
        """Return the layout of images without padding."""
        masks = [
            torch.zeros(1, *shape, dtype=torch.bool, device=device)
            for shape in spatial_shapes
        ]
        return cls(*_measure(masks))

    @classmethod
    def with_padding(cls, masks: Sequence[Tensor]) -> 'TokenMaps':
        """Return the layout for masks, (B, h, w) each, True at padding."""
        padding = torch.cat([mask.flatten(1) for mask in masks], dim=1)
        return cls(*_measure(masks), padding)

    def reference_points(self, points: Tensor) -> Tensor:
        """Map points of the image to each padded map.

        Args:
            points: (x, y), or boxes (cx, cy, w, h), in units of the image
                without padding, (B, Q, 2 or 4).

        Returns:
            In units of the padded maps, (B, Q, L, 2 or 4).
        """
        ratios = self.valid_ratios.repeat(1, 1, points.shape[-1] // 2)
        return points[:, :, None] * ratios[:, None]

    def embed_positions(
        self, level_embed: Tensor, temperature: float
    ) -> Tensor:
        """Return sine positions plus the embedding of the level.

        Args:
            level_embed: One row for each level, (L, C).
            temperature: See ``sine_point_embed``.

        Returns:
            (B, V, C), in the type of ``level_embed``.
        """
        pos = sine_point_embed(
            self.cell_ends, level_embed.shape[1], temperature
        )
        counts = [h * w for h, w in self.spatial_shapes]
        levels = zip(pos.split(counts, dim=1), level_embed, strict=True)
        return torch.cat([part.to(row) + row for part, row in levels], dim=1)


def spatial_shape(maps: Tensor) -> tuple[int, int]:
    """Return the size (h, w) of maps, (..., h, w).

    Integers even when ``torch.jit`` traces; symbols in ``torch.export``, for a
    graph that takes any size.
    """
    h, w = maps.shape[-2:]
    return (int(h), int(w)) if torch.jit.is_tracing() else (h, w)


def as_tensor(
    pairs: Sequence[tuple[int, int]], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return pairs of integers, or of symbols in ``torch.export``, (n, 2)."""
    if all(isinstance(number, int) for pair in pairs for number in pair):
        return send(torch.tensor(pairs, dtype=dtype), device)
    numbers = [
        torch.ones(number, dtype=dtype, device=device).sum()
        for pair in pairs
        for number in pair
    ]
    return torch.stack(numbers).unflatten(0, (-1, 2))


def _measure(
    masks: Sequence[Tensor],
) -> tuple[list[tuple[int, int]], Tensor, Tensor, Tensor, Tensor]:
    """Return all fields of ``TokenMaps`` except the last."""
    shapes = [spatial_shape(mask) for mask in masks]
    level_sizes = as_tensor(
        [(w, h) for h, w in shapes], torch.float32, masks[0].device
    )
    levels = [
        _measure_level(mask, level_sizes[i]) for i, mask in enumerate(masks)
    ]
    ratios, centers, ends = zip(*levels, strict=True)
    return (
        shapes,
        level_sizes,
        torch.stack(ratios, dim=1),
        torch.cat(centers, dim=1),
        torch.cat(ends, dim=1),
    )


def _measure_level(
    mask: Tensor, size: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return valid ratios, (B, 2), centers and ends of cells, (B, V, 2)."""
    valid = (~mask).float()
    num = torch.stack((valid[:, 0].sum(1), valid[:, :, 0].sum(1)), dim=-1)
    y, x = (torch.arange(n, device=mask.device) + 0.5 for n in mask.shape[1:])
    grid = torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1)
    ends = torch.stack((valid.cumsum(2), valid.cumsum(1)), dim=-1)
    ratios = num / size
    centers = grid.flatten(0, 1) / (ratios * size)[:, None]
    return ratios, centers, ends.flatten(1, 2) / (num + 1e-6)[:, None]
