"""The model inside a wrapper for distributed training."""

from mmengine.model import BaseModel, is_model_wrapper


def unwrap_model(model: BaseModel) -> BaseModel:
    """Return the model that a runner trains, without its DDP wrapper."""
    return model.module if is_model_wrapper(model) else model
