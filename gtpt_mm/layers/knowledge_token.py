"""One token more, which carries what a teacher has learned."""

# B batch, N image tokens, C channels

import torch
from torch import Tensor, nn


class KnowledgeToken(nn.Module):
    """Append one learned token, the same for every image.

    It has no position, and whoever appends it cuts it off before the decoder.

    Source: Xu et al., "ViTPose++", Sec. 3.4; no code of the authors. How the
    token of a wide teacher fits a narrow student is not said: a linear map,
    trained with the student, does it here. Such a map can turn the token into
    any vector, so a fair comparison has a student with a trained token beside
    it.

    Args:
        token_dims: Channels of the token.
        embed_dims: Channels C of the image tokens; if they are as many, there
            is no map.

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
        self.map = nn.Identity()
        if token_dims != embed_dims:
            self.map = nn.Linear(token_dims, embed_dims, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return image tokens (B, N, C) and the token, (B, N + 1, C)."""
        token = self.map(self.token).to(x.dtype)
        return torch.cat((x, token.expand(len(x), -1, -1)), 1)
