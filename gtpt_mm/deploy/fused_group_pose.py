"""Group Pose for inference: fewer linear layers, and chunks on a CPU."""

# B batch, V tokens, Q queries, C channels, L levels

import torch
from torch import Tensor, nn

from gtpt_mm.layers.deform_attention import DeformableAttention
from gtpt_mm.layers.deform_encoder import DeformableEncoderLayer
from gtpt_mm.layers.token_maps import TokenMaps
from gtpt_mm.models import GroupPoseHead

from .fuse import fuse_module

#: Tokens at once on a CPU, so that intermediate results stay in its caches.
CHUNK_SIZE = 1024


class FusedDeformableAttention(DeformableAttention):
    """Offsets and weights from one product of matrices instead of two.

    Args:
        attention: The trained attention; its other layers are reused.
    """

    def __init__(self, attention: DeformableAttention) -> None:
        super().__init__(
            attention.embed_dims,
            attention.num_heads,
            attention.num_levels,
            attention.num_points,
            attention.impl,
        )
        self.value_proj = attention.value_proj
        self.output_proj = attention.output_proj
        pair = attention.sampling_offsets, attention.attention_weights
        self.splits = [linear.out_features for linear in pair]
        fused = nn.Linear(self.embed_dims, sum(self.splits))
        fused.weight = nn.Parameter(torch.cat([p.weight for p in pair]))
        fused.bias = nn.Parameter(torch.cat([p.bias for p in pair]))
        self.offsets_and_weights = fused
        del self.sampling_offsets, self.attention_weights

    def project(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return offsets and weights before the softmax, (B, Q, ...)."""
        offsets, weights = self.offsets_and_weights(query).split(
            self.splits, dim=2
        )
        return offsets, weights


class ChunkedEncoderLayer(nn.Module):
    """Encoder layer that takes its queries in chunks, on a CPU only.

    Graphs that are compiled or exported take all tokens at once.

    Args:
        layer: The trained layer.
    """

    def __init__(self, layer: DeformableEncoderLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self, x: Tensor, pos: Tensor, reference_points: Tensor, maps: TokenMaps
    ) -> Tensor:
        """Return new tokens, (B, V, C); see ``DeformableEncoderLayer``."""
        if (
            x.device.type != 'cpu'
            or torch.compiler.is_compiling()
            or torch.onnx.is_in_onnx_export()
        ):
            return self.layer(x, pos, reference_points, maps)
        attention, size = self.layer.self_attn, max(1, CHUNK_SIZE // len(x))
        sampler = attention.build_sampler(x, maps)
        parts = [t.split(size, dim=1) for t in (x, pos, reference_points)]
        chunks = []
        for x, pos, points in zip(*parts, strict=True):
            attended = attention.attend(x + pos, points, maps, sampler)
            chunks.append(self.layer.ffn(self.layer.norm(x + attended)))
        return torch.cat(chunks, dim=1)


@fuse_module.register
def _fuse_group_pose(
    module: GroupPoseHead, chunk_size: int | None
) -> nn.Module:
    """Fuse in place; chunks are of tokens, so ``chunk_size`` is ignored."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, DeformableAttention):
                setattr(parent, name, FusedDeformableAttention(child))
            elif isinstance(child, DeformableEncoderLayer):
                setattr(parent, name, ChunkedEncoderLayer(child))
    return module.eval().requires_grad_(False)
