"""Networks in exported files: made once, checked, opened in a runtime."""

# B batch

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from gtpt_mm.deploy.export import OPSET, export_model, quiet_export
from gtpt_mm.deploy.runtimes import NETWORKS, describe, flatten

from .network import Network

#: Images that a file is checked with: batches, and draws of each. A model
#: that chooses tokens may choose another one of two equal ones in a draw.
BATCHES = (1, 2, 5)
DRAWS = 3
#: Largest deviation from PyTorch by precision, as a part of the outputs'
#: range. Lower precision is no mistake: its deviation is stated, not judged.
TOLERANCE = {'fp32': 1e-3}


class Files:
    """The files of a run.

    Args:
        folder: Where they are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[tuple, Path] = {}
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
        path = self._make(network, precision, runtime)
        if network.file is not None:
            return NETWORKS[runtime](path, threads, precision)
        key = network.label, runtime, precision
        with torch.inference_mode():
            structure = describe(_infer(network.model, network.images(1)))
            opened = NETWORKS[runtime](
                path, threads, precision, structure=structure
            )
            if key not in self.deviations:
                self.deviations[key] = find_deviation(network, opened)
        limit = TOLERANCE.get(precision)
        if limit is not None and not self.deviations[key] <= limit:
            raise ValueError(
                f'the file differs from PyTorch by {self.deviations[key]:.2g} '
                f'of the range of the outputs, more than {limit:g}'
            )
        return opened

    def _make(self, network: Network, precision: str, runtime: str) -> Path:
        """Return the file of a network; the runtimes share it."""
        if network.file is not None:
            has = getattr(network.model, 'precision', precision)
            if precision != has:
                raise ValueError(f'the file computes in {has} only')
            return network.file
        # OpenVINO rounds by itself what is not quantized.
        rounds = runtime == 'openvino' and precision != 'int8'
        written = 'fp32' if rounds else precision
        key = network.label, written
        if key not in self._made:
            file = self.folder / f'{len(self._made)}_{written}.onnx'
            self._write(network, file, written)
            self._made[key] = file
        return self._made[key]

    def _write(self, network: Network, file: Path, precision: str) -> None:
        if precision == 'int8':
            raise ValueError('no int8 yet')
        if isinstance(network.model, BasePoseEstimator):
            export_model(network.model, file, 'onnx', precision)
            return
        if precision != 'fp32':
            raise ValueError(
                f'{network.label} is no model of mmpose: its file is in fp32'
            )
        write_plain(network, file)


def write_plain(network: Network, file: Path) -> None:
    """Write a network that is not mmpose's, by PyTorch's exporter alone."""
    with torch.no_grad(), quiet_export():
        torch.onnx.export(
            network.model,
            (network.images(2),),
            str(file),
            input_names=['images'],
            dynamic_shapes=({0: torch.export.Dim('batch')}, None, None),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )


def find_deviation(network: Network, other: Callable) -> float:
    """Return how far outputs are from PyTorch's, as a part of their range.

    The largest at several batch sizes, in the best of a few draws.
    """
    return min(
        max(_compare(network, other, seed, size) for size in BATCHES)
        for seed in range(DRAWS)
    )


def _compare(
    network: Network, other: Callable, seed: int, batch_size: int
) -> float:
    images = network.images(batch_size, seed)
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


def _infer(model: nn.Module, images: Tensor) -> Any:
    return model(images, None, mode='tensor')
