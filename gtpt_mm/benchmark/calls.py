"""The calls that are timed: a network in one case."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gtpt_mm.deploy import fuse

from .cases import (
    COMPILED,
    DTYPES,
    FILE_RUNTIMES,
    FUSED,
    TRAINING,
    BenchmarkConfig,
    Case,
)
from .files import Files
from .network import Network, training_batch


class Call(NamedTuple):
    """A timed function, and an untimed one that runs before it."""

    run: Callable[[], object]
    reset: Callable[[], object]


def infer(model: Callable, images: Tensor) -> object:
    """Run the network, without data preprocessing and decoding."""
    with torch.no_grad():
        return model(images, None, mode='tensor')


def _train_step(
    model: Any, batch: tuple[Tensor, list], autocast: torch.autocast
) -> Tensor:
    """Run forward, loss and backward; return the loss."""
    with autocast:
        losses = model(*batch, mode='loss')
    loss, _ = getattr(model, '_orig_mod', model).parse_losses(losses)
    loss.backward()
    return loss.detach()


class CallMaker:
    """Makes calls; each form of a network is created once.

    Args:
        config: Settings of the benchmark.
        folder: Folder for exported files.
        find_crops: See :class:`Files`.
    """

    def __init__(
        self,
        config: BenchmarkConfig,
        folder: Path,
        find_crops: Callable[[Network], list[Tensor]] | None = None,
    ) -> None:
        self.config = config
        self._files = Files(folder, find_crops)
        self._copies: dict[tuple, nn.Module] = {}

    def make(self, network: Network, case: Case) -> Call:
        """Return the call of a network in a case."""
        device = self.config.device
        # CUDA graphs may overwrite the outputs of the previous call.
        reset: Callable[[], object] = (
            torch.compiler.cudagraph_mark_step_begin
            if case.runtime.endswith(COMPILED)
            else _nothing
        )
        if case.task != TRAINING:
            images = network.images(case.batch_size).to(device)
            if case.precision in DTYPES and case.runtime not in FILE_RUNTIMES:
                images = images.to(DTYPES[case.precision])
            return Call(partial(self.forward(network, case), images), reset)
        batch = training_batch(network, case.batch_size, device)
        dtype = DTYPES[case.precision]
        autocast = torch.autocast(
            torch.device(device).type, dtype, enabled=dtype != torch.float32
        )
        model = self.model(network, case)

        def forget() -> None:
            reset()
            model.zero_grad(set_to_none=True)

        run = self._compiled(model, case)
        return Call(partial(_train_step, run, batch, autocast), forget)

    def forward(
        self, network: Network, case: Case
    ) -> Callable[[Tensor], object]:
        """Return the network of a case: images to outputs of the head."""
        if case.runtime in FILE_RUNTIMES:
            threads = self.config.threads or torch.get_num_threads()
            return self._files.open(
                network, case.runtime, case.precision, threads
            )
        model = self._compiled(self.model(network, case), case)
        return partial(infer, model)

    def deviation(self, network: Network, case: Case) -> float | None:
        """Return the deviation of a case's file from PyTorch, see Files."""
        key = network.label, case.runtime, case.precision
        return self._files.deviations.get(key)

    def model(self, network: Network, case: Case) -> nn.Module:
        """Return the model of a case of PyTorch; fusing precedes rounding."""
        is_training = case.task == TRAINING  # in float32
        dtype = torch.float32 if is_training else DTYPES[case.precision]
        is_fused = case.runtime.startswith(FUSED)
        key = network.label, is_training, dtype, is_fused
        if key not in self._copies:
            make = fuse if is_fused else copy.deepcopy
            model = make(network.model).to(self.config.device, dtype)
            self._copies[key] = model.train() if is_training else model
        return self._copies[key]

    def _compiled(self, model: nn.Module, case: Case) -> Callable:
        if not case.runtime.endswith(COMPILED):
            return model
        return torch.compile(
            model, mode=self.config.compile_mode, dynamic=False
        )


def _nothing() -> None:
    """Reset nothing."""
