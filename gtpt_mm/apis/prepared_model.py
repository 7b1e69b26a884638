"""Prepare models for a predictor: load, fuse, cast, move to the device."""

import copy
import os
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.registry import MODELS
from torch import nn

from gtpt_mm.convert import split_model
from gtpt_mm.deploy import fuse
from gtpt_mm.deploy.fuse import can_fuse
from gtpt_mm.deploy.runtimes import find_runtime
from gtpt_mm.models.pose_estimators import MultiDatasetPoseEstimator

from .model_names import load_model

HALF = (torch.bfloat16, torch.float16)


def prepare_model(
    model: str | os.PathLike | Config | nn.Module,
    weights: str | os.PathLike | None,
    dataset: str | None,
    device: str,
    dtype: str,
    flip_test: bool | None,
    runtime: str = 'torch',
) -> BasePoseEstimator:
    """Return a model that predicts; one that was given stays as it is.

    The arguments are those of :class:`gtpt_mm.apis.Predictor`. Norms are fused
    into convolutions in float32 or wider, then weights are rounded; the mean
    and standard deviation of pixels are never rounded. For runtimes other than
    torch nothing is fused here, since their export fuses.

    Raises:
        ValueError: If a built model lacks ``cfg`` or ``dataset_meta``, or
            the runtime does not support its device or dtype.
    """
    if isinstance(model, nn.Module):
        loaded = check_built(model)
        chosen = find_device(device, next(model.parameters()).device)
    else:
        chosen = find_device(device)
        loaded = load_model(model, weights, 'cpu', dataset)
    if isinstance(loaded, MultiDatasetPoseEstimator):
        loaded = split_off(loaded, dataset)
    given = next(loaded.parameters()).dtype
    target = given if dtype == 'auto' else getattr(torch, dtype)
    is_fused = find_runtime(runtime, chosen, target) == 'torch'
    exact = torch.promote_types(
        torch.promote_types(given, target), torch.float
    )
    prepared: Any = copy.deepcopy(loaded) if loaded is model else loaded
    prepared = prepared.eval().requires_grad_(False).to(exact)
    if is_fused and can_fuse(prepared):
        prepared = fuse(prepared, chunk_size=None)
    preprocessor = copy.deepcopy(prepared.data_preprocessor)
    if given in HALF and 'data_preprocessor' in prepared.cfg.model:
        # If the model was rounded, so were its mean and deviation.
        preprocessor = MODELS.build(prepared.cfg.model.data_preprocessor)
    prepared = prepared.to(chosen, target)
    prepared.data_preprocessor = preprocessor.to(chosen)
    if flip_test is not None:
        prepared.test_cfg = {**prepared.test_cfg, 'flip_test': flip_test}
    return prepared


def find_device(
    device: str | torch.device, given: torch.device | None = None
) -> torch.device:
    """Return a device; 'auto': that of a built model, or a GPU if any.

    Raises:
        ValueError: If there is no such device.
    """
    if str(device) != 'auto':
        return _check_device(device)
    if given is not None:
        return given
    return torch.device('cuda' if torch.cuda.is_available() else 'cpu')


def _check_device(device: str | torch.device) -> torch.device:
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"there is no device {device!r}; take 'auto', 'cpu', 'cuda' or "
            "'cuda:1'"
        ) from error
    if found.type == 'cuda' and (found.index or 0) >= (
        number := torch.cuda.device_count()
    ):
        raise ValueError(
            f'device {str(device)!r} is not there: torch {torch.__version__} '
            f"sees {number} GPUs; 'auto' takes a GPU if there is one"
        )
    return found


def check_built(model: nn.Module) -> nn.Module:
    """Return a built model if it describes its keypoints.

    Raises:
        ValueError: If it lacks ``cfg`` or ``dataset_meta``.
    """
    lacks = [n for n in ('cfg', 'dataset_meta') if not hasattr(model, n)]
    if lacks:
        raise ValueError(
            f'the {type(model).__name__} has no {" and no ".join(lacks)}; '
            'build it by gtpt_mm.load_model or mmpose.apis.init_model'
        )
    return model


def split_off(
    model: MultiDatasetPoseEstimator, dataset: str | None
) -> BasePoseEstimator:
    """Return the plain model for one dataset, by default the first."""
    single = split_model(model, model.cfg, dataset or model.head.names[0])
    single.dataset_meta = dataset_meta_from_config(single.cfg, 'train')
    return single.to(next(model.parameters()))


def set_scope(cfg: Config) -> None:
    """Make the scope of a config the current one of the registries."""
    init_default_scope(cfg.get('default_scope', 'mmpose'))
