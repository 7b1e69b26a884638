"""Networks in exported files: made once, checked, opened in a runtime."""

# B batch

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from gtpt_mm.deploy.export import export_model
from gtpt_mm.deploy.formats import OPSET, quiet_export
from gtpt_mm.deploy.graph import flatten
from gtpt_mm.deploy.quantize import quantize
from gtpt_mm.deploy.runtimes import NETWORKS, ExportedNetwork, describe

from .network import Network

#: Batch sizes of the check of a file, and the number of draws. If two tokens
#: are equal up to rounding, a model may choose the other one in some draw.
BATCHES = (1, 2, 5)
DRAWS = 3
#: Largest deviation from PyTorch by precision, as a part of the outputs'
#: range. For lower precisions the deviation is reported, but not limited.
TOLERANCE = {'fp32': 1e-3}


class Files:
    """The files of a run.

    Args:
        folder: Where they are written.
        find_crops: Returns normalised crops of pictures for a network,
            (B, 3, h, w), which calibrate int8; without it noise is used, which
            is only good for measuring the speed.
    """

    def __init__(
        self,
        folder: Path,
        find_crops: Callable[[Network], list[Tensor]] | None = None,
    ) -> None:
        self.folder = folder
        self.find_crops = find_crops or _draw_noise
        self._made: dict[tuple, Path] = {}
        self._opened: dict[tuple, ExportedNetwork] = {}
        #: By label, runtime and precision: largest deviation of the file's
        #: outputs from those of PyTorch, as a part of their range.
        self.deviations: dict[tuple[str, str, str], float] = {}

    def open(
        self, network: Network, runtime: str, precision: str, threads: int
    ) -> Callable[[Tensor], Any]:
        """Return a network in a runtime: images to outputs of the head.

        Raises:
            ValueError: If the file differs from the network, or cannot be
                made.
        """
        key = network.label, runtime, precision
        if key not in self._opened:
            path = self._make(network, precision, runtime)
            self._opened[key] = self._open(
                network, NETWORKS[runtime], path, threads, precision
            )
        return self._opened[key]

    def _open(
        self,
        network: Network,
        kind: type[ExportedNetwork],
        path: Path,
        threads: int,
        precision: str,
    ) -> ExportedNetwork:
        """Open a file, and compare it with PyTorch if possible."""
        if network.file is not None:
            return kind(path, threads, precision)
        limit = TOLERANCE.get(precision, 0.0)
        with torch.inference_mode():
            structure = describe(_infer(network.model, network.images(1)))
            opened = kind(path, threads, precision, structure=structure)
            deviation = find_deviation(network, opened, limit)
        if limit and not deviation <= limit:
            raise ValueError(
                f'the file differs from PyTorch by {deviation:.2g} of the '
                f'range of the outputs, more than {limit:g}'
            )
        self.deviations[network.label, kind.runtime, precision] = deviation
        return opened

    def _make(self, network: Network, precision: str, runtime: str) -> Path:
        """Return the file of a network; the runtimes share it."""
        if network.file is not None:
            has = getattr(network.model, 'precision', precision)
            if precision != has:
                raise ValueError(f'the file computes in {has} only')
            return network.file
        # OpenVINO itself rounds tensors that are not quantized.
        rounds = runtime == 'openvino' and precision != 'int8'
        written = 'fp32' if rounds else precision
        key = network.label, written
        if key not in self._made:
            file = self.folder / f'{len(self._made)}_{written}.onnx'
            self._write(network, file, written)
            self._made[key] = file
        return self._made[key]

    def _write(
        self,
        network: Network,
        file: Path,
        precision: str,
        portable: bool = False,
    ) -> None:
        if precision == 'int8':
            crops = [crop.numpy() for crop in self.find_crops(network)]
            self._write(network, file, 'fp32', portable=True)
            quantize(file, file, crops)
            return
        if isinstance(network.model, BasePoseEstimator):
            export_model(
                network.model, file, 'onnx', precision, portable=portable
            )
            return
        if precision != 'fp32':
            raise ValueError(
                f'{network.label} is not a model of mmpose: its file has '
                'only fp32'
            )
        write_plain(network, file)


class _Plain(nn.Module):
    """A network with images as its only input."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        """Return the outputs of the head."""
        return _infer(self.model, images)


def write_plain(network: Network, file: Path) -> None:
    """Write a network that is not mmpose's, using only PyTorch's exporter."""
    with torch.no_grad(), quiet_export():
        torch.onnx.export(
            _Plain(network.model),
            (network.images(2),),
            str(file),
            input_names=['images'],
            dynamic_shapes=({0: torch.export.Dim('batch')},),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )


def find_deviation(
    network: Network, other: Callable, limit: float = 0.0
) -> float:
    """Return the deviation from PyTorch, as a part of the outputs' range.

    Args:
        network: The network.
        other: Its file.
        limit: Stop after a draw that is not above it.

    Returns:
        The largest deviation over several batch sizes, for the best draw.
    """
    best = float('inf')
    for seed in range(DRAWS):
        found = [_compare(network, other, seed, size) for size in BATCHES]
        best = min(best, max(found))
        if best <= limit:
            break
    return best


def _compare(
    network: Network, other: Callable, seed: int, batch_size: int
) -> float:
    images = network.images(batch_size, seed)
    with torch.no_grad():
        expected = flatten(_infer(network.model, images))
        found = flatten(other(images))
    shapes = [[tuple(t.shape) for t in part] for part in (expected, found)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f'for {batch_size} images the file returns {shapes[1]}, PyTorch '
            f'{shapes[0]}'
        )
    return max(
        float((a - b).abs().max() / (a.max() - a.min()).clamp(min=1e-6))
        for a, b in zip(expected, found, strict=True)
    )


def _draw_noise(network: Network) -> list[Tensor]:
    return [network.images(1, seed) for seed in range(8)]


def _infer(model: nn.Module, images: Tensor) -> Any:
    return model(images, None, mode='tensor')
