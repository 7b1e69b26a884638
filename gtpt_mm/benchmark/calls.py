"""The calls that are timed: a network in one case."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gtpt_mm.deploy import fuse

from .cases import COMPILED, DTYPES, FUSED, TRAINING, BenchmarkConfig, Case
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
    """Makes calls; a copy of a network in another dtype is made once."""

    def __init__(self, config: BenchmarkConfig) -> None:
        self.config = config
        self._copies: dict[tuple, nn.Module] = {}

    def make(self, network: Network, case: Case) -> Call:
        """Return the call of a network in a case."""
        device, dtype = self.config.device, DTYPES[case.dtype]
        model = self._copy(network, case)
        run: Callable = model
        reset: Callable[[], object] = _nothing
        if case.mode.endswith(COMPILED):
            run = torch.compile(
                model, mode=self.config.compile_mode, dynamic=False
            )
            # CUDA graphs may then overwrite the outputs of the call before.
            reset = torch.compiler.cudagraph_mark_step_begin
        if case.task != TRAINING:
            images = network.images(case.batch_size).to(device, dtype)
            return Call(partial(infer, run, images), reset)
        batch = training_batch(network, case.batch_size, device)
        autocast = torch.autocast(
            torch.device(device).type, dtype, enabled=dtype != torch.float32
        )

        def forget() -> None:
            reset()
            model.zero_grad(set_to_none=True)

        return Call(partial(_train_step, run, batch, autocast), forget)

    def _copy(self, network: Network, case: Case) -> nn.Module:
        """Return a network as a case needs it; fusing precedes rounding."""
        is_training = case.task == TRAINING  # in float32
        dtype = torch.float32 if is_training else DTYPES[case.dtype]
        is_fused = case.mode.startswith(FUSED)
        key = network.label, is_training, dtype, is_fused
        if key not in self._copies:
            make = fuse if is_fused else copy.deepcopy
            model = make(network.model).to(self.config.device, dtype)
            self._copies[key] = model.train() if is_training else model
        return self._copies[key]


def _nothing() -> None:
    """Reset nothing."""
