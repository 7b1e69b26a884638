"""What layers that compute a BatchNorm themselves need of it."""

# C channels

import torch
from torch import Tensor, nn


def has_plain_statistics(norm: nn.BatchNorm2d) -> bool:
    """Return whether a norm takes the statistics of the batch.

    And has weights, and running averages of a fixed momentum.
    """
    return (
        norm.training
        and norm.affine
        and norm.track_running_stats
        and norm.running_mean is not None
        and norm.momentum is not None
    )


@torch.no_grad()
def update_averages(
    norm: nn.BatchNorm2d, mean: Tensor, var: Tensor, count: int
) -> None:
    """Update the running averages of a norm, as its forward pass does.

    Args:
        norm: See :func:`has_plain_statistics`.
        mean: Mean of the batch, (C,).
        var: Variance of the batch, not corrected for its size, (C,).
        count: Pixels of the batch.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.num_batches_tracked is not None and norm.momentum is not None
    norm.num_batches_tracked += 1
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(var * (count / max(count - 1, 1)), norm.momentum)
