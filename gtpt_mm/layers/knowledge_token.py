"""A learned token that transfers the knowledge of a teacher."""

# B batch, N image tokens, C channels

import torch
from torch import Tensor, nn


class KnowledgeToken(nn.Module):
    """Append one learned token, the same for every image.

    It has no position, and the caller removes it before the decoder.

    Source: Xu et al., "ViTPose++", Sec. 3.4; no official code. The
    paper does not say how the token of a wide teacher fits a narrow student;
    here a linear map does it, trained with the student. Such a map can turn
    the token into any vector, so a fair comparison needs a student with a
    trained token.

    Args:
        token_dims: Channels of the token.
        embed_dims: Channels C of the image tokens; equal channels need no
            map.

    Raises:
        ValueError: If ``token_dims`` is not positive.

    Example:
        >>> KnowledgeToken(64, 32)(torch.rand(2, 12, 32)).shape
        torch.Size([2, 13, 32])
    """

    def __init__(self, token_dims: int, embed_dims: int) -> None:
        super().__init__()
        if token_dims < 1:
            raise ValueError(
                f'a knowledge token has at least one channel, got {token_dims}'
            )
        self.token = nn.Parameter(torch.empty(1, 1, token_dims))
        nn.init.trunc_normal_(self.token, std=0.02)
        self.map: nn.Module = nn.Identity()
        if token_dims != embed_dims:
            self.map = nn.Linear(token_dims, embed_dims, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return image tokens (B, N, C) and the token, (B, N + 1, C)."""
        token = self.map(self.token).to(x.dtype)
        return torch.cat((x, token.expand(len(x), -1, -1)), 1)
