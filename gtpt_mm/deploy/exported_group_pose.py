"""Group Pose in files: images of any size, sampling by gathers of rows."""

# B batch, Q queries, V values of all levels, C channels, M heads,
# D = C / M channels of a head, L levels, P points per level

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.layers.deform_attention import DeformableAttention
from gtpt_mm.layers.deform_encoder import PostNormFeedForward
from gtpt_mm.layers.token_maps import TokenMaps, as_tensor
from gtpt_mm.models import GroupPoseHead

from .export_modules import export_module
from .formats import OPSET, quiet_export
from .fused_group_pose import ChunkedEncoderLayer, FusedDeformableAttention
from .graph import ExportGraph, make_graph


class RowSampler:
    """Sums values sampled at a few locations, with widely supported operators.

    A location x lies between cells i and i + 1 of its axis, which have the
    shares max(0, 1 - |x - i|) and max(0, 1 - |x - i - 1|). If i is clamped to
    the map, they are also correct outside it, so values need no frame of
    zeros, and rows are read directly from the projected values.

    Heads are computed one after another: the rows of all heads at once would
    take 64 D numbers for each query and head.

    Args:
        value: Projected values, (B, V, C).
        maps: Their layout.
        num_heads: M.
        num_points: P.
    """

    def __init__(
        self, value: Tensor, maps: TokenMaps, num_heads: int, num_points: int
    ) -> None:
        self.num_heads = num_heads
        self.batch, self.num_values, channels = value.shape
        value = value.to(torch.promote_types(value.dtype, torch.float32))
        self.table = value.reshape(-1, channels // num_heads)
        width, height = maps.level_sizes.float().unbind(1)
        areas = width * height
        start = (areas.cumsum(0) - areas) * num_heads
        heads = torch.arange(num_heads, device=value.device)
        repeat = num_points

        def columns(levels: Tensor) -> Tensor:
            """Repeat numbers of levels, (L,), for all locations, (MLP,)."""
            levels = levels.repeat_interleave(repeat)
            return levels.repeat(num_heads)

        self.last = columns(width - 2), columns(height - 2)
        # A level of one cell has no second one.
        second = (width - 1).clamp(max=1), (height - 1).clamp(max=1)
        self.second = columns(second[0]), columns(second[1])
        self.line = columns(width * num_heads)
        head = heads.repeat_interleave(len(width) * num_points)
        self.origin = columns(start) + head.float()
        right = second[0] * num_heads
        down = second[1] * width * num_heads
        steps = [columns(s) for s in (right * 0, right, down, right + down)]
        steps = torch.stack(steps).int().unflatten(1, (num_heads, -1))
        self.steps = steps.transpose(0, 1)  # to the corners, (M, 4, LP)

    def __call__(self, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        """Sample.

        Args:
            x: Locations in cells of their level, (B * Q, M * L * P).
            y: The same.
            weights: Their weights, (B * Q, M * L * P).

        Returns:
            (B * Q, C).
        """
        column, left, right = self._split(x, 0)
        line, upper, lower = self._split(y, 1)
        # Whole numbers below 2 ** 24, exact in 32 bits.
        index = (
            line * self.line + column * self.num_heads + self.origin
        ).int()
        images = torch.arange(self.batch, dtype=torch.int32, device=x.device)
        images = images * (self.num_values * self.num_heads)
        index = index.unflatten(0, (self.batch, -1)) + images[:, None, None]
        index = index.flatten(0, 1)
        upper, lower = upper * weights, lower * weights
        shares = [upper * left, upper * right, lower * left, lower * right]
        heads = [share.unflatten(1, (self.num_heads, -1)) for share in shares]
        rows = index.unflatten(1, (self.num_heads, 1, -1)) + self.steps
        outputs = [
            torch.bmm(share[:, None], F.embedding(row, self.table))
            for share, row in zip(
                torch.cat(heads, dim=2).unbind(1),
                rows.flatten(2).unbind(1),
                strict=True,
            )
        ]
        return torch.cat(outputs, dim=1).flatten(1)

    def _split(self, x: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the first cell of the pair around x, and both shares."""
        cell = x.floor().minimum(self.last[axis]).clamp(min=0)
        offset = x - cell
        first = (1 - offset.abs()).clamp(min=0)
        second = (self.second[axis] - (offset - 1).abs()).clamp(min=0)
        return cell, first, second


class ExportedDeformableAttention(DeformableAttention):
    """Deformable attention of matrix products on rows, and gathers.

    A product with the queries gives the locations directly: the reference
    points are the matrix that it is added to.

    Args:
        attention: The trained attention, fused or not.
    """

    spread: Tensor

    def __init__(self, attention: DeformableAttention) -> None:
        super().__init__(
            attention.embed_dims,
            attention.num_heads,
            attention.num_levels,
            attention.num_points,
        )
        if isinstance(attention, FusedDeformableAttention):
            pair = attention.offsets_and_weights
            weights = pair.weight.split(attention.splits)
            biases = pair.bias.split(attention.splits)
        else:
            parts = attention.sampling_offsets, attention.attention_weights
            weights = tuple(part.weight for part in parts)
            biases = tuple(part.bias for part in parts)
        self.value_proj = attention.value_proj
        self.output_proj = attention.output_proj
        self.attention_weights = _linear(weights[1], biases[1])
        self.offset_x, self.offset_y = (
            _linear(weights[0][axis::2], biases[0][axis::2]) for axis in (0, 1)
        )
        del self.sampling_offsets
        # Repeats the numbers of levels for all locations, (L, M * L * P).
        spread = torch.eye(self.num_levels).repeat_interleave(
            self.num_points, dim=1
        )
        self.register_buffer('spread', spread.repeat(1, self.num_heads))

    def build_sampler(self, value: Tensor, maps: TokenMaps) -> Any:
        """Project the values; returns a :class:`RowSampler`."""
        shape = value.shape
        value = self.value_proj(value.flatten(0, 1)).view(shape)
        if maps.key_padding_mask is not None:
            value = value.masked_fill(maps.key_padding_mask[..., None], 0)
        return RowSampler(value, maps, self.num_heads, self.num_points)

    def attend(
        self,
        query: Tensor,
        reference_points: Tensor,
        maps: TokenMaps,
        sampler: Any,
    ) -> Tensor:
        """Sample the values; arguments as in ``DeformableAttention``."""
        batch, num_queries, channels = query.shape
        rows = query.reshape(-1, channels)
        points = reference_points[..., :2] * maps.level_sizes - 0.5
        points = points.expand(batch, -1, -1, -1).flatten(0, 1)
        x, y = (
            self._locate(rows, points, reference_points, maps, axis)
            for axis in (0, 1)
        )
        weights = self.attention_weights(rows).to(points)
        weights = weights.unflatten(1, (self.num_heads, -1)).softmax(-1)
        output = sampler(x, y, weights.flatten(1)).to(rows)
        return self.output_proj(output).view(batch, num_queries, channels)

    def _locate(
        self,
        rows: Tensor,
        points: Tensor,
        reference_points: Tensor,
        maps: TokenMaps,
        axis: int,
    ) -> Tensor:
        """Return x or y of all locations in cells, (B * Q, M * L * P).

        In 32 bits, as the reference points.

        Args:
            rows: Queries, (B * Q, C).
            points: Reference points in cells, (B * Q, L, 2).
            reference_points: The same or boxes, (B or 1, Q, L, 2 or 4).
            maps: The layout of the tokens.
            axis: 0 for x, 1 for y.
        """
        centers, offset = points[..., axis], self.offset_y
        if axis == 0:
            offset = self.offset_x
        spread = self.spread.to(points)
        if reference_points.shape[-1] == 2 and rows.dtype == points.dtype:
            base = torch.addmm(offset.bias, centers, spread)
            return torch.addmm(base, rows, offset.weight.t())
        offsets = offset(rows).to(points)
        if reference_points.shape[-1] == 4:
            reach = reference_points[..., 2 + axis] * maps.level_sizes[:, axis]
            reach = reach.expand(rows.shape[0] // reach.shape[1], -1, -1)
            reach = reach.flatten(0, 1) @ spread
            offsets = offsets * (reach * (0.5 / self.num_points))
        return centers @ spread + offsets


class RowFeedForward(nn.Module):
    """``PostNormFeedForward`` on rows, whose products take bias and ReLU.

    Args:
        ffn: The trained network.
    """

    def __init__(self, ffn: PostNormFeedForward) -> None:
        super().__init__()
        self.linear1, self.linear2, self.norm = (
            ffn.linear1,
            ffn.linear2,
            ffn.norm,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the shape of ``x``, (..., C)."""
        rows = x.flatten(0, -2)
        hidden = self.linear1(rows).relu()
        return self.norm(rows + self.linear2(hidden)).view(x.shape)


class PaddedGraph(nn.Module):
    """Graph of a Group Pose for images of different sizes.

    An :class:`ExportGraph` has one input: images of one size, without padding.
    This graph has a second input: their sizes.

    Args:
        graph: The graph of a Group Pose, which does not decode.

    Raises:
        ValueError: If its head masks no padding, or it decodes.
    """

    input_names = ('images', 'sizes')

    def __init__(self, graph: ExportGraph) -> None:
        super().__init__()
        if not isinstance(graph.head, GroupPoseHead):
            raise ValueError(
                f'{type(graph.head).__name__} masks no padding; only a '
                'GroupPoseHead does'
            )
        if graph.decode:
            raise ValueError(
                'a graph with sizes does not decode: make it without decode'
            )
        self.network = graph  # torch.fx has an attribute graph of its own
        self.output_names = graph.outputs.names
        self.smallest_side = graph.outputs.smallest_side

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Return class scores and keypoints, see ``GroupPoseHead.forward``.

        Args:
            images: Normalised, then padded by zeros at the bottom and on the
                right, (B, 3, H, W).
            sizes: Sizes (h, w) without padding, (B, 2), whole numbers.
        """
        graph = self.network
        feats = graph.neck(graph.backbone(images))
        masks = [mask_padding(sizes, images, feat) for feat in feats]
        maps = TokenMaps.with_padding(masks)
        logits, keypoints, *_ = graph.head.run_stages(feats, maps)
        return logits[-1], keypoints[-1]


def make_padded_graph(model: BasePoseEstimator) -> PaddedGraph:
    """Return the graph of a file for images that are padded to one size.

    ``PoseInferencer`` does not need it: there, images of one size share a
    batch.

    Args:
        model: A trained Group Pose; it stays as it is.
    """
    return PaddedGraph(make_graph(model))


def export_padded(model: BasePoseEstimator, file: str | Path) -> Path:
    """Write a Group Pose with the inputs images and sizes as ONNX.

    Args:
        model: A trained Group Pose; it stays as it is.
        file: File to write.
    """
    graph = make_padded_graph(model)
    batch, least = torch.export.Dim('batch'), graph.smallest_side
    height, width = (
        torch.export.Dim(name, min=least) for name in ('height', 'width')
    )
    images, sizes = torch.zeros(2, 3, 192, 256), torch.tensor([[192, 256]] * 2)
    with torch.no_grad(), quiet_export():
        program: Any = torch.onnx.export(
            graph,
            (images, sizes),
            input_names=list(graph.input_names),
            output_names=list(graph.output_names),
            dynamic_shapes=({0: batch, 2: height, 3: width}, {0: batch}),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    with atomic_write(file) as part:
        part.write_bytes(program.model_proto.SerializeToString())
    return Path(file)


def mask_padding(sizes: Tensor, images: Tensor, feat: Tensor) -> Tensor:
    """Return the mask of a map, (B, h, w), True at padding.

    Nearest sampling of the mask of the images, as ``F.interpolate`` does.
    """
    padded = []
    for axis in (0, 1):
        number, length = feat.shape[2 + axis], images.shape[2 + axis]
        pair = as_tensor([(length, number)], torch.float32, feat.device)[0]
        cells = torch.arange(number, dtype=torch.float32, device=feat.device)
        pixel = (cells * (pair[0] / pair[1])).floor()
        padded.append(pixel >= sizes[:, axis, None])  # (B, h or w)
    return padded[0][:, :, None] | padded[1][:, None]


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(*weight.shape[::-1], device='meta')
    linear.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    linear.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return linear


@export_module.register
def _export_attention(module: DeformableAttention) -> nn.Module:
    if isinstance(module, ExportedDeformableAttention):
        return module
    return ExportedDeformableAttention(module)


@export_module.register
def _export_feed_forward(module: PostNormFeedForward) -> nn.Module:
    return RowFeedForward(module)


@export_module.register
def _export_encoder_layer(module: ChunkedEncoderLayer) -> nn.Module:
    return module.layer  # a file takes all tokens at once
