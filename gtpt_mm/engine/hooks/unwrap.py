"""The model inside a wrapper for distributed training."""

from mmengine.model import is_model_wrapper
from torch import nn


def unwrap_model(model: nn.Module) -> nn.Module:
    """Return the model that a runner trains, without its DDP wrapper."""
    return model.module if is_model_wrapper(model) else model
