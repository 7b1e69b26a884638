"""The runtime of a predictor: the named one, or the fastest."""

# (w, h) input in pixels

from collections.abc import Callable
from typing import Any

import torch
from mmcv.transforms import Compose
from mmpose.datasets.transforms import TopdownAffine
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor

from gtpt_mm.compat.messages import log, warn
from gtpt_mm.deploy import fuse
from gtpt_mm.deploy.cache import (
    Choice,
    ExportError,
    draw_images,
    exported_file,
    find_choice_path,
    locked,
    open_network,
    read_choice,
    time_calls,
    write_choice,
)
from gtpt_mm.deploy.fuse import can_fuse
from gtpt_mm.deploy.runtimes import (
    RUNTIMES,
    Network,
    find_missing,
    find_runtime,
)

from .network import TorchNetwork
from .topdown import can_decode_apart
from .weights import cache_folder

#: Image sizes (w, h) of the check of a file for images of any size; the first
#: one is timed.
ANY_SIZE = ((320, 256), (192, 256))
#: Number of images for timing runtimes.
NUM_TIMED = 4


def use_runtime(
    model: BasePoseEstimator, runtime: str, batch_size: int
) -> tuple[BasePoseEstimator, Network | None]:
    """Return a model and its network in a runtime; None for torch itself.

    Args:
        model: Result of ``prepare_model`` for the runtime.
        runtime: As for :class:`gtpt_mm.apis.Predictor`.
        batch_size: Largest number of images at once.

    Raises:
        ValueError: If the runtime is named and cannot run this model.
    """
    weights = next(model.parameters())
    runtime = find_runtime(runtime, weights.device, weights.dtype)
    if runtime == 'torch':
        return model, None  # fused by prepare_model
    if runtime != 'auto':
        return model, _open(model, runtime)
    try:
        runtime = _find_fastest(model, batch_size)
        if runtime != 'torch':
            return model, _open(model, runtime)
    except (OSError, ValueError) as error:  # a full cache, or a read-only one
        warn(f"runtime='auto' takes torch: {error}")
    return _fuse(model), None


def _fuse(model: BasePoseEstimator) -> BasePoseEstimator:
    return fuse(model, chunk_size=None) if can_fuse(model) else model


def _open(model: BasePoseEstimator, runtime: str) -> Network:
    """Return the network in a model's file; export it the first time.

    Raises:
        ExportError: If the model cannot be exported.
    """
    if not can_decode_apart(model):
        raise ExportError(
            f'{type(model).__name__} with {type(model.head).__name__} '
            'predicts in one step, which no file holds: use '
            "runtime='torch'"
        )
    size = getattr(getattr(model.head, 'decoder', None), 'input_size', None)
    if not isinstance(model, TopdownPoseEstimator) and size is not None:
        raise ExportError(
            f'{type(model.head).__name__} takes images of many sizes, a file '
            "of it has one: use runtime='torch'"
        )
    folder = cache_folder() / 'exported'
    return open_network(exported_file(model, runtime, folder, _sizes(model)))


def _sizes(model: BasePoseEstimator) -> tuple[tuple[int, int], ...]:
    """Return the image sizes (w, h) for the check of a file."""
    if not isinstance(model, TopdownPoseEstimator):
        return ANY_SIZE
    pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
    for step in pipeline.transforms:
        if isinstance(step, TopdownAffine):
            w, h = step.input_size
            return ((int(w), int(h)),)
    raise ExportError(
        'the test pipeline has no TopdownAffine, so the size of the input is '
        "unknown: use runtime='torch'"
    )


def _find_fastest(model: BasePoseEstimator, batch_size: int) -> str:
    """Return the fastest runtime that is installed; measured once.

    Raises:
        ValueError: If the cache cannot be written to.
        OSError: If it is full.
    """
    names = [name for name in RUNTIMES[1:] if not find_missing(name)]
    folder = cache_folder() / 'exported'
    path = find_choice_path(model, folder, names)
    choice = read_choice(path)  # the cache may be read-only
    if choice is None:
        with locked(path):
            choice = read_choice(path)
            if choice is None:
                choice = _measure(model, names, batch_size)
                write_choice(path, choice)
    return choice.runtime


def _measure(
    model: BasePoseEstimator, names: list[str], batch_size: int
) -> Choice:
    """Time torch and the runtimes that agree with it, in turn."""
    size = ANY_SIZE[0]
    calls: dict[str, Callable[[Tensor], Any]] = {
        'torch': TorchNetwork(_fuse(model), batch_size)
    }
    for name in names:
        try:
            size = _sizes(model)[0]
            calls[name] = _open(model, name)
        except ExportError as error:
            warn(f"runtime='auto' goes without {name}: {error}")
    if len(calls) == 1:
        return Choice('torch', {})
    with torch.inference_mode():
        seconds = time_calls(calls, draw_images(NUM_TIMED, size))
    milliseconds = {name: 1000 * value for name, value in seconds.items()}
    fastest = min(milliseconds, key=lambda name: milliseconds[name])
    log(
        f'the fastest is {fastest}; ms an image: '
        + ', '.join(f'{n} {ms:.1f}' for n, ms in milliseconds.items())
    )
    return Choice(fastest, milliseconds)
