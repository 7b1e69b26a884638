"""YOLOX in an ONNX file, by onnxruntime."""

# B batch, A anchors, C classes

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from .base import Boxes, Detector, DetectorOptions, require, suppress

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: IoU of YOLOX's own non-maximum suppression.
NMS = 0.45
#: Grey of the border that makes an image fit the input.
BORDER = 114
#: Height and width of a file that accepts every size.
DYNAMIC_SIZE = 640
STRIDES = ((8, 16, 32), (8, 16, 32, 64))


class OnnxYolox(Detector):
    """People by a YOLOX of any size in an ONNX file.

    The image lies at the top left of the input, BGR in 0..255. The output is
    one of these three. A run on a grey image distinguishes the first two,
    since an offset is far smaller than the position of its cell:

    * (B, A, 5 + C), offsets within the cells and logarithms of sizes in
      strides, objectness, classes: YOLOX's ``export_onnx.py``;
    * the same with pixels: its ``--decode_in_inference``;
    * boxes with scores (B, n, 5) and labels (B, n): mmdeploy's.

    Args:
        path: The file.
        options: Device, thresholds; ``class_ids`` None means (0,).

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If onnxruntime is not installed.
    """

    unused = ('weights',)

    def __init__(self, path: str, options: DetectorOptions) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(f'no ONNX file of a detector at {path}')
        require('onnxruntime', 'onnxruntime', 'onnx')
        super().__init__(str(path), options)

    def build(self) -> '_Network':
        """Open the file and read the form of its input."""
        session = _open(self.name, self.options.torch_device)
        entry = session.get_inputs()[0]
        dtypes = {'tensor(float)': 'float32', 'tensor(float16)': 'float16'}
        if len(entry.shape) != 4 or entry.type not in dtypes:
            raise ValueError(
                f'{self.name} is not a YOLOX: its input must be floats of '
                f'(B, 3, H, W), and is {entry.type} of {entry.shape}'
            )
        batch, _, *size = entry.shape
        height, width = (
            length if isinstance(length, int) else DYNAMIC_SIZE
            for length in size
        )
        network = _Network(
            session,
            entry.name,
            (height, width),
            np.dtype(dtypes[entry.type]),
            batch if isinstance(batch, int) else None,
        )
        network.probe(self.name)
        return network

    def detect(
        self, network: '_Network', images: list[np.ndarray]
    ) -> list[Boxes]:
        """Run the network; suppress double boxes among the people."""
        inputs, ratios = zip(
            *(letterbox(image, network.size) for image in images), strict=True
        )
        classes = list(self.options.class_ids or (0,))
        found = []
        for output, ratio in zip(network(inputs), ratios, strict=True):
            boxes, scores = network.decode(output, classes)
            seen = scores >= self.options.threshold
            boxes, scores = boxes[seen], scores[seen]
            if not network.has_labels and self.options.nms is None:
                kept = suppress(boxes, scores, NMS)
                boxes, scores = boxes[kept], scores[kept]
            found.append((boxes / ratio, scores))
        return found


@dataclass
class _Network:
    """A session and the form of its input and output."""

    session: 'InferenceSession'
    entry: str
    size: tuple[int, int]
    dtype: np.dtype
    batch: int | None
    cells: np.ndarray | None = None
    strides: np.ndarray | None = None
    has_labels: bool = False

    def __call__(
        self, images: tuple[np.ndarray, ...]
    ) -> list[tuple[np.ndarray, ...]]:
        """Return the outputs of each image; a fixed batch is padded."""
        inputs = np.stack(images).transpose(0, 3, 1, 2).astype(self.dtype)
        size = self.batch or len(inputs)
        found: list[tuple[np.ndarray, ...]] = []
        for start in range(0, len(inputs), size):
            part = inputs[start : start + size]
            blank = np.zeros((size - len(part), *part.shape[1:]), self.dtype)
            outputs = self.session.run(
                None, {self.entry: np.concatenate((part, blank))}
            )
            found += list(zip(*(o[: len(part)] for o in outputs), strict=True))
        return found

    def probe(self, name: str) -> None:
        """Find the form of the output from one run on a grey image."""
        grey = np.full((*self.size, 3), BORDER, np.uint8)
        output, *others = self((grey,))[0]
        if output.ndim == 2 and output.shape[1] == 5 and others:
            self.has_labels = True
            return
        for strides in STRIDES:
            cells, widths = _cells(self.size, strides)
            if output.ndim == 2 and len(output) == len(cells):
                break
        else:
            raise ValueError(
                f'{name} is not a YOLOX: for an input of {self.size} its '
                f'output has the shape {(1, *output.shape)}; '
                f'(1, {len(cells)}, 5 + classes) was expected'
            )
        points = output[:, :2].astype(np.float32)
        as_offsets = np.median(np.abs(points))
        as_pixels = np.median(np.abs(points / widths - cells))
        if as_offsets < as_pixels:
            self.cells, self.strides = cells, widths

    def decode(
        self, output: tuple[np.ndarray, ...], classes: list[int]
    ) -> Boxes:
        """Return boxes (x1, y1, x2, y2) in input pixels, and scores."""
        values = output[0].astype(np.float32)
        if self.has_labels:
            people = np.isin(output[1], classes)
            return values[people, :4], values[people, 4]
        scores = values[:, 4] * values[:, 5:][:, classes].max(axis=1)
        points, sizes = values[:, :2], values[:, 2:4]
        if self.cells is not None:
            points = (points + self.cells) * self.strides
            sizes = np.exp(sizes) * self.strides
        return np.hstack((points - sizes / 2, points + sizes / 2)), scores


def letterbox(
    image: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, float]:
    """Fit an image into the top left of an input.

    Args:
        image: Image, (H, W, 3).
        size: Height and width of the input.

    Returns:
        The input, and input pixels for one pixel of the image.
    """
    height, width = image.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    inner = max(int(width * ratio), 1), max(int(height * ratio), 1)
    padded = np.full((*size, 3), BORDER, np.uint8)
    padded[: inner[1], : inner[0]] = cv2.resize(image, inner)
    return padded, ratio


def _cells(
    size: tuple[int, int], strides: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells (x, y) of all anchors, (A, 2), and strides, (A, 1)."""
    cells, widths = [], []
    for stride in strides:
        y, x = np.indices((size[0] // stride, size[1] // stride))
        cells.append(np.stack((x.ravel(), y.ravel()), axis=1))
        widths.append(np.full((x.size, 1), stride))
    return (
        np.concatenate(cells).astype(np.float32),
        np.concatenate(widths).astype(np.float32),
    )


def _open(path: str, device: torch.device) -> 'InferenceSession':
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; not which nodes run where
    providers: list = ['CPUExecutionProvider']
    if device.type == 'cuda':
        if 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
            index = device.index or 0
            providers.insert(
                0, ('CUDAExecutionProvider', {'device_id': index})
            )
        else:
            warnings.warn(
                f'{path} runs on the CPU: this onnxruntime has no CUDA (pip '
                'install onnxruntime-gpu)',
                stacklevel=2,
            )
    return onnxruntime.InferenceSession(path, options, providers)
