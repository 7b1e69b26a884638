"""The calls that are timed: a network in one setting."""

import copy
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gtpt_mm.deploy import fuse

from .network import Network, training_batch
from .settings import COMPILED, DTYPES, FUSED, TRAINING, Setting, Settings


class Call(NamedTuple):
    """What is timed, and what must be done before it, untimed."""

    run: Callable[[], object]
    reset: Callable[[], object]


def infer(model: nn.Module, images: Tensor) -> object:
    """Run the network, without data preprocessing and decoding."""
    with torch.no_grad():
        return model(images, None, mode='tensor')


def _train_step(
    model: nn.Module, batch: tuple[Tensor, list], autocast: torch.autocast
) -> Tensor:
    """Run forward, loss and backward; return the loss."""
    with autocast:
        losses = model(*batch, mode='loss')
    parse = getattr(model, '_orig_mod', model).parse_losses
    loss, _ = parse(losses)
    loss.backward()
    return loss.detach()


class NetworkCopies:
    """Copies of networks in other dtypes, each made once."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._copies: dict[tuple, nn.Module] = {}

    def for_inference(
        self, network: Network, dtype: torch.dtype, fused: bool
    ) -> nn.Module:
        """Return a network in a dtype; folding comes before rounding."""
        key = network.label, dtype, fused
        if key not in self._copies:
            make = fuse if fused else copy.deepcopy
            model = make(network.model).to(self.device, dtype)
            self._copies[key] = model
        return self._copies[key]

    def for_training(self, network: Network) -> nn.Module:
        """Return a network in training mode, in float32."""
        key = network.label, TRAINING
        if key not in self._copies:
            model = copy.deepcopy(network.model).train().to(self.device)
            self._copies[key] = model
        return self._copies[key]


def make_call(
    network: Network,
    setting: Setting,
    settings: Settings,
    copies: NetworkCopies,
) -> Call:
    """Return the call of one model in one setting."""
    device, dtype = settings.device, DTYPES[setting.dtype]
    is_compiled = setting.mode.endswith(COMPILED)
    reset = _next_graph if is_compiled else _nothing
    if setting.task == TRAINING:
        model = copies.for_training(network)
        batch = training_batch(network, setting.batch_size, device)
        autocast = torch.autocast(
            torch.device(device).type, dtype, enabled=dtype != torch.float32
        )
        compiled = _compile(model, settings) if is_compiled else model

        def forget() -> None:
            reset()
            model.zero_grad(set_to_none=True)

        return Call(partial(_train_step, compiled, batch, autocast), forget)
    model = copies.for_inference(
        network, dtype, fused=setting.mode.startswith(FUSED)
    )
    if is_compiled:
        model = _compile(model, settings)
    images = network.images(setting.batch_size).to(device, dtype)
    return Call(partial(infer, model, images), reset)


def _nothing() -> None:
    """Prepare nothing."""


def _next_graph() -> None:
    """Let CUDA graphs overwrite the outputs of the call before."""
    torch.compiler.cudagraph_mark_step_begin()


def _compile(model: nn.Module, settings: Settings) -> nn.Module:
    return torch.compile(model, mode=settings.compile_mode, dynamic=False)
