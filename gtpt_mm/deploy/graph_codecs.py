"""Decoding of mmpose's codecs in torch, as part of an exported graph.

Numbers are those of the codecs' own ``decode`` in numpy, also where a maximum
lies at the border, is a plateau (the first one counts) or is not positive
(then mmpose's point is -1, before scaling).
"""

# B batch, K keypoints, W bins, (H, W) heatmap

from functools import singledispatch
from typing import Any

import cv2
import numpy as np
import torch
from mmpose.codecs import MSRAHeatmap, SimCCLabel, UDPHeatmap
from torch import Tensor, nn

from gtpt_mm.codecs import UnroundedSimCCLabel


@singledispatch
def decoder_of(codec: Any) -> nn.Module | None:
    """Return the decoder of a codec; None if there is none."""
    return None


def make_decoder(codec: Any) -> nn.Module:
    """Return the decoder of a codec.

    Raises:
        ValueError: If it, or one of its settings, is not supported.
    """
    # A subclass may decode in its own way: only exact classes are known.
    decoder = decoder_of(codec) if type(codec) in KNOWN else None
    if decoder is None:
        raise ValueError(
            f'decoding of {type(codec).__name__} in a file is not supported, '
            f'only of {", ".join(kind.__name__ for kind in KNOWN)}; export '
            'without decode'
        )
    return decoder


class SimCCDecoder(nn.Module):
    """``SimCCLabel.decode``: the bins of the maxima.

    Args:
        codec: A ``SimCCLabel``, or an ``UnroundedSimCCLabel``.
    """

    def __init__(self, codec: SimCCLabel) -> None:
        super().__init__()
        for name in ('use_dark', 'decode_visibility'):
            if getattr(codec, name):
                raise _unsupported(codec, f'{name}=True')
        self.ratio = float(codec.simcc_split_ratio)
        self.peak = float(getattr(codec, 'peak', 1.0))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return keypoints, (B, K, 2), and scores, (B, K).

        Args:
            x: Horizontal bins, (B, K, Wx).
            y: Vertical bins, (B, K, Wy).
        """
        scores = torch.minimum(x.amax(-1), y.amax(-1))
        bins = torch.stack((x.argmax(-1), y.argmax(-1)), dim=-1).to(x.dtype)
        bins = torch.where(scores[..., None] > 0, bins, -1.0)
        return bins / self.ratio, scores / self.peak


class HeatmapDecoder(nn.Module):
    """The maximum of each heatmap, refined by a subclass.

    Args:
        codec: Codec with ``heatmap_size`` and ``input_size``, (w, h).
        scale: Pixels of the input per pixel of the heatmap, (x, y).
    """

    scale: Tensor

    def __init__(self, codec: Any, scale: np.ndarray) -> None:
        super().__init__()
        self.width, self.height = (int(s) for s in codec.heatmap_size)
        self.register_buffer(
            'scale', torch.as_tensor(scale, dtype=torch.float32), False
        )

    def forward(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Return keypoints, (B, K, 2), and scores, (B, K).

        Args:
            heatmaps: (B, K, H, W).
        """
        scores = heatmaps.flatten(2).amax(-1)
        index = heatmaps.flatten(2).argmax(-1)
        is_found = scores > 0
        x = torch.where(is_found, index % self.width, -1)
        y = torch.where(
            is_found, index.div(self.width, rounding_mode='floor'), -1
        )
        points = self.refine(heatmaps, x, y)
        return points * self.scale.to(points), scores

    def refine(self, heatmaps: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return points (B, K, 2) in pixels of the heatmap.

        Args:
            heatmaps: (B, K, H, W).
            x: Whole pixels of the maxima, -1 where none is positive, (B, K).
            y: Likewise.
        """
        raise NotImplementedError


class QuarterDecoder(HeatmapDecoder):
    """``MSRAHeatmap.decode``: a quarter of a pixel to the higher neighbour."""

    def refine(self, heatmaps: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return points; those near the border stay, as in mmpose."""
        w, h = self.width, self.height
        pixels = PixelReader(heatmaps, x, y)
        dx = pixels.read(1, 0) - pixels.read(-1, 0)
        dy = pixels.read(0, 1) - pixels.read(0, -1)
        moves_x = (x > 1) & (x < w - 1) & (y > 0)
        moves_y = (y > 1) & (y < h - 1) & (x > 0)
        steps = torch.stack((dx.sign() * moves_x, dy.sign() * moves_y), -1)
        return torch.stack((x, y), dim=-1) + steps * 0.25


class DarkDecoder(HeatmapDecoder):
    """``MSRAHeatmap.decode`` with ``unbiased``: DARK on whole pixels."""

    def __init__(self, codec: MSRAHeatmap, scale: np.ndarray) -> None:
        super().__init__(codec, scale)
        self.blur = Blur(codec)

    def refine(self, heatmaps: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return points by a Newton step on the logarithms."""
        pixels = PixelReader(self.blur(heatmaps).clamp(min=1e-10), x, y)

        def read(dx: int, dy: int) -> Tensor:
            return pixels.read(dx, dy).log()

        left, right, up, down = (
            read(*step) for step in ((-1, 0), (1, 0), (0, -1), (0, 1))
        )
        dx, dy = 0.5 * (right - left), 0.5 * (down - up)
        middle = 2 * read(0, 0)
        dxx = 0.25 * (read(2, 0) - middle + read(-2, 0))
        dyy = 0.25 * (read(0, 2) - middle + read(0, -2))
        dxy = 0.25 * (read(1, 1) - read(1, -1) - read(-1, 1) + read(-1, -1))
        determinant = dxx * dyy - dxy**2
        moves = (x > 1) & (x < self.width - 2) & (y > 1)
        moves = moves & (y < self.height - 2) & (determinant != 0)
        determinant = torch.where(moves, determinant, 1.0)
        step = torch.stack((dyy * dx - dxy * dy, dxx * dy - dxy * dx), dim=-1)
        step = step / determinant[..., None] * moves[..., None]
        return torch.stack((x, y), dim=-1) - step


class UDPDecoder(HeatmapDecoder):
    """``UDPHeatmap.decode``: DARK as UDP does it.

    mmpose reads the neighbours from all padded maps of a person in one row of
    numbers, so a maximum at -1 reads those of another keypoint. This class
    does the same.
    """

    def __init__(self, codec: UDPHeatmap, scale: np.ndarray) -> None:
        super().__init__(codec, scale)
        self.blur = Blur(codec)
        self.eps = float(np.finfo(np.float32).eps)

    def refine(self, heatmaps: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return points by a Newton step on the logarithms."""
        logs = self.blur(heatmaps).clamp(1e-3, 50.0).log()
        pixels = PaddedPixelReader(logs, x, y)
        here, right, left, down, up = (
            pixels.read(*step)
            for step in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
        )
        dx, dy = 0.5 * (right - left), 0.5 * (down - up)
        dxx = right - 2 * here + left + self.eps
        dyy = down - 2 * here + up + self.eps
        corners = pixels.read(1, 1) + pixels.read(-1, -1)
        dxy = 0.5 * (corners - right - down + 2 * here - left - up)
        determinant = dxx * dyy - dxy**2
        step = torch.stack((dyy * dx - dxy * dy, dxx * dy - dxy * dx), dim=-1)
        return torch.stack((x, y), dim=-1) - step / determinant[..., None]


class Blur(nn.Module):
    """``gaussian_blur`` of mmpose: each map keeps its maximum.

    Blurring along an axis, with zeros outside, is a product with a band
    matrix.

    Args:
        codec: Codec with ``heatmap_size`` and ``blur_kernel_size``.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, codec: Any) -> None:
        super().__init__()
        width, height = codec.heatmap_size
        for name, length in (('rows', width), ('columns', height)):
            matrix = _band_matrix(int(length), codec.blur_kernel_size)
            self.register_buffer(name, matrix, persistent=False)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """Return blurred maps, (B, K, H, W)."""
        blurred = self.columns.to(heatmaps) @ heatmaps @ self.rows.to(heatmaps)
        ratio = heatmaps.amax((2, 3), True) / blurred.amax((2, 3), True)
        return blurred * ratio


def _band_matrix(length: int, kernel_size: int) -> Tensor:
    """Return the symmetric matrix that blurs a row of pixels."""
    kernel = cv2.getGaussianKernel(kernel_size, 0, cv2.CV_32F)[:, 0]
    matrix = np.zeros((length, length), np.float32)
    reach = kernel_size // 2
    for offset in range(-min(reach, length - 1), min(reach, length - 1) + 1):
        matrix += (
            np.eye(length, k=offset, dtype=np.float32)
            * (kernel[reach + offset])
        )
    return torch.from_numpy(matrix)


class PixelReader:
    """Reads heatmaps beside given pixels; coordinates stop at the border.

    Args:
        heatmaps: (B, K, H, W).
        x: Whole pixels, (B, K).
        y: Likewise.
    """

    def __init__(self, heatmaps: Tensor, x: Tensor, y: Tensor) -> None:
        self.height, self.width = heatmaps.shape[2:]
        self.values = heatmaps.flatten(2)
        self.x = x
        self.y = y

    def read(self, dx: int, dy: int) -> Tensor:
        """Return the values (B, K) at (x + dx, y + dy)."""
        x = (self.x + dx).clamp(0, self.width - 1)
        y = (self.y + dy).clamp(0, self.height - 1)
        index = (y * self.width + x)[..., None]
        return self.values.gather(2, index).squeeze(2)


class PaddedPixelReader:
    """Reads maps with a repeated border from one row of numbers.

    Args:
        heatmaps: (B, K, H, W).
        x: Whole pixels, -1 to W - 1, (B, K).
        y: Likewise.
    """

    def __init__(self, heatmaps: Tensor, x: Tensor, y: Tensor) -> None:
        num_keypoints, height, width = heatmaps.shape[1:]
        rows = torch.cat(
            (heatmaps[:, :, :1], heatmaps, heatmaps[:, :, -1:]), dim=2
        )
        padded = torch.cat((rows[..., :1], rows, rows[..., -1:]), dim=3)
        self.width = width + 2
        area = self.width * (height + 2)
        self.total = num_keypoints * area
        self.values = padded.flatten(1)
        first = torch.arange(num_keypoints, device=x.device) * area
        self.index = x + 1 + (y + 1) * self.width + first

    def read(self, dx: int, dy: int) -> Tensor:
        """Return the values (B, K) at (x + dx, y + dy)."""
        index = self.index + (dx + dy * self.width)
        # Before the first map is the end of the last.
        index = torch.where(index < 0, index + self.total, index)
        return self.values.gather(1, index)


@decoder_of.register
def _decoder_of_simcc(codec: SimCCLabel) -> nn.Module:
    return SimCCDecoder(codec)


@decoder_of.register
def _decoder_of_msra(codec: MSRAHeatmap) -> nn.Module:
    scale = np.array(codec.input_size) / np.array(codec.heatmap_size)
    kind = DarkDecoder if codec.unbiased else QuarterDecoder
    return kind(codec, scale)


@decoder_of.register
def _decoder_of_udp(codec: UDPHeatmap) -> nn.Module:
    if codec.heatmap_type != 'gaussian':
        raise _unsupported(codec, f'heatmap_type={codec.heatmap_type!r}')
    scale = np.array(codec.input_size) / (np.array(codec.heatmap_size) - 1)
    return UDPDecoder(codec, scale)


#: Codecs that a file can decode.
KNOWN = (SimCCLabel, UnroundedSimCCLabel, MSRAHeatmap, UDPHeatmap)


def _unsupported(codec: Any, setting: str) -> ValueError:
    return ValueError(
        f'decoding of {type(codec).__name__} with {setting} in a file is not '
        'supported; export without decode'
    )
