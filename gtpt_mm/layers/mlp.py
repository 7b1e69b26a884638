"""Feed-forward networks of transformer layers."""

from torch import Tensor, nn


class MLP(nn.Module):
    """Two linear layers with a GELU between them.

    Args:
        in_channels: Channels of the input and the output.
        hidden_channels: Channels between the two layers.

    Example:
        >>> import torch
        >>> MLP(32, 96)(torch.rand(2, 5, 32)).shape
        torch.Size([2, 5, 32])
    """

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_channels, hidden_channels)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_channels, in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed tokens, same shape as ``x`` (..., C)."""
        return self.fc2(self.act(self.fc1(x)))
