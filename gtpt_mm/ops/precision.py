"""One type for all inputs of an operator."""

import torch
from torch import Tensor


def widen(*tensors: Tensor) -> list[Tensor]:
    """Cast all tensors to their common type, float32 or float64.

    Half precision cannot represent the coordinates of a large map, and many
    kernels support neither half precision nor integers.
    """
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return [tensor.to(dtype) for tensor in tensors]
