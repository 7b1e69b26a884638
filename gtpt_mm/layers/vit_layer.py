"""The layer of a vision transformer."""

# B batch, N image tokens, C channels, (h, w) token grid

from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn


class ViTLayer(nn.Module):
    """Pre-norm layer: attention and a feed-forward network, both residual.

    Args:
        embed_dims: Channels C of a token.
        attn: Called with tokens and grid, see ``SelfAttention``.
        mlp: Feed-forward network, called with tokens and further arguments of
            ``forward``.
        drop_path_rate: Share of the samples for which training drops a
            branch; for the others the branch is scaled up.

    Example:
        >>> import torch
        >>> from gtpt_mm.layers.attention import SelfAttention
        >>> from gtpt_mm.layers.mlp import MLP
        >>> layer = ViTLayer(32, SelfAttention(32, 4), MLP(32, 128))
        >>> layer(torch.rand(2, 12, 32), (4, 3)).shape
        torch.Size([2, 12, 32])
    """

    def __init__(
        self,
        embed_dims: int,
        attn: nn.Module,
        mlp: nn.Module,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.attn = attn
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.mlp = mlp
        self.drop_path = DropPath(drop_path_rate)

    def forward(
        self, x: Tensor, grid_size: tuple[int, int], *mlp_args: object
    ) -> Tensor:
        """Return the tokens after the layer, (B, N, C)."""
        x = x + self.drop_path(self.attn(self.norm1(x), grid_size))
        return x + self.drop_path(self.mlp(self.norm2(x), *mlp_args))
