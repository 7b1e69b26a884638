"""Score image tokens, keep the best."""

# B batch, G groups, H heads, Q keypoint queries, M tokens

import torch
from torch import Tensor


@torch.no_grad()
def softmax_pool(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Pool many attention maps into one importance score for each token.

    Over all pairs p of head and keypoint query, the score of token n is

        s_n = sum_p l_pn softmax_p(l_pn)                          (Eq. 10)

    so that a token which matters to a few maps only is not averaged away.

    Source: Wang et al., "GTPT", ECCV 2024, Sec. 3.5, Eq. 10. The paper pools
    attention weights; the official code pools the scaled logits before the
    softmax over tokens. We follow the code.

    Args:
        logits: Scaled attention logits, (B, G, H, Q, M); overwritten.
        mask: True where a query counts, (G, Q); None counts all.

    Returns:
        Scores, (B, G, M), in float32 or wider, without gradient.
    """
    logits = logits.float() if logits.dtype.itemsize < 4 else logits
    if mask is not None:
        # Finite: its weight 0 must not meet an infinity.
        logits.masked_fill_(~mask[:, None, :, None], -1e30)
    logits = logits.flatten(2, 3)
    return logits.softmax(dim=2).mul_(logits).sum(dim=2)


def keep_top_tokens(scores: Tensor, num_keep: int) -> Tensor:
    """Return the indices of the highest scores, in rising order.

    Rising order keeps tokens in raster order, and rows that must stay in
    front (given an infinite score) in front.

    Args:
        scores: Importance of each token, (B, G, M).
        num_keep: Number of tokens to keep, at most M.

    Returns:
        Indices of the kept tokens, (B, G, num_keep), int64.

    Example:
        >>> keep_top_tokens(torch.tensor([[[0.1, 0.9, 0.5]]]), 2)
        tensor([[[1, 2]]])
    """
    indices = scores.topk(num_keep, dim=-1, sorted=False).indices
    return indices.sort(dim=-1).values
