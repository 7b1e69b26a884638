"""What an exported file computes: images to outputs or keypoints."""

# B batch, K keypoints, (h, w) input in pixels

import copy
from typing import Any

import torch
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from gtpt_mm.models.pose_estimators import MultiDatasetPoseEstimator

from .export_modules import replace_modules
from .fuse import can_fuse, fuse
from .graph_heads import HeadOutputs, read_head

#: Size (w, h) of the example images of a model that takes any.
EXAMPLE_SIZE = (256, 192)
#: Outputs of a graph that decodes.
DECODED = ('keypoints', 'scores')


class ExportGraph(nn.Module):
    """Network of an estimator, with plain tensors in and out.

    Args:
        model: A copy in eval mode whose modules may be replaced.
        kind: Class name of its backbone before it was fused.
        outputs: Names, averaging and decoding of its head's outputs.
        decode: Whether keypoints and scores are returned.
        flip_test: Whether outputs are averaged with the mirror image's.

    Attributes:
        input_size: Size (w, h) of the images; None: any.
        dtype: Type that the network computes in.
        portable: Whether its ONNX file is for other uses than ONNX Runtime in
            float32 on a CPU, such as half precision and quantization.
    """

    def __init__(
        self,
        model: BasePoseEstimator,
        kind: str,
        outputs: HeadOutputs,
        decode: bool,
        flip_test: bool,
    ) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = model.head
        self.kind = kind
        self.outputs = outputs
        self.decode = decode
        self.flip_test = flip_test
        self.input_size = find_input_size(model)
        self.dtype = torch.float32
        self.portable = False

    def halve(self) -> None:
        """Let the network compute in half precision; decoding does not."""
        self.dtype = torch.float16
        self.portable = True
        for module in (self.backbone, self.neck, self.head):
            module.to(self.dtype)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of the head, or keypoints and scores.

        Args:
            images: Normalised, (B, 3, h, w).

        Returns:
            The head's outputs in a flat tuple; with ``decode`` keypoints in
            pixels of the input, (B, K, 2), and scores, (B, K).
        """
        if self.flip_test:
            # One pass of twice the batch: the network is in the file once.
            both = self.run(torch.cat((images, images.flip(-1))))
            num = images.shape[0]
            outputs = self.outputs.average(
                tuple(output[:num] for output in both),
                tuple(output[num:] for output in both),
            )
        else:
            outputs = self.run(images)
        return self.outputs.decode(outputs, images) if self.decode else outputs

    def run(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of the head in a flat tuple."""
        images = images.to(self.dtype)
        outputs = flatten(self.head(self.neck(self.backbone(images))))
        return tuple(output.float() for output in outputs)

    def find_output_names(self) -> tuple[str, ...]:
        """Return the names of what ``forward`` returns, in its order.

        Outputs of unknown heads are numbered.
        """
        if self.decode:
            return DECODED
        if self.outputs.names:
            return self.outputs.names
        with torch.no_grad():
            outputs = self(self.example_images(1))
        return tuple(f'output_{i}' for i in range(len(outputs)))

    def example_images(self, batch: str | int) -> Tensor:
        """Return images to trace the graph with, (B, 3, h, w)."""
        width, height = self.input_size or EXAMPLE_SIZE
        number = 2 if batch == 'dynamic' else int(batch)
        return torch.zeros(number, 3, height, width)


def find_input_size(model: BasePoseEstimator) -> tuple[int, int] | None:
    """Return the size (w, h) of a model's images; None: any."""
    # VisPredictHead contains the head that predicts keypoints.
    head = getattr(model.head, 'pose_head', model.head)
    codec = getattr(head, 'decoder', None)
    # IntegralRegressionLabel has the size only in its two codecs, and that of
    # Hand3DHeatmap has another name.
    for owner in (codec, getattr(codec, 'keypoint_codec', None)):
        for name in ('input_size', 'image_size'):
            size = getattr(owner, name, None)
            if size is not None:
                return int(size[0]), int(size[1])
    return None


def make_graph(
    model: BasePoseEstimator,
    decode: bool = False,
    flip_test: bool = False,
    input_size: tuple[int, int] | None = None,
) -> ExportGraph:
    """Return what a file of a model computes; the model stays as it is.

    Args:
        model: A trained estimator of gtpt_mm or mmpose. With ``flip_test`` it
            has ``dataset_meta``, as from ``load_model``.
        decode: Whether the graph ends in keypoints and scores, as the codec
            of the head decodes them.
        flip_test: Whether the graph averages with the mirror image, by the
            options in the model's ``test_cfg``, whose ``flip_test`` is not
            read.
        input_size: Size (w, h) of the images of a bottom-up model; None: that
            of its codec, or any.

    Raises:
        ValueError: If the head or its codec is not supported, or the model has
            another size, which is named.
    """
    if isinstance(model, MultiDatasetPoseEstimator):
        raise ValueError(
            'a file holds the model of one dataset: choose one of '
            f'{list(model.head.names)} (dataset=NAME, or split_model)'
        )
    outputs = read_head(model, decode, flip_test)
    if can_fuse(model):
        fused = fuse(model, chunk_size=None)
    else:
        fused = copy.deepcopy(model).eval().requires_grad_(False)
    kind = type(model.backbone).__name__
    graph = ExportGraph(fused, kind, outputs, decode, flip_test)
    if input_size is not None:
        graph.input_size = _check_size(model, input_size)
    replace_modules(graph)
    return graph.eval().requires_grad_(False)


def _check_size(
    model: BasePoseEstimator, input_size: tuple[int, int]
) -> tuple[int, int]:
    """Return a size (w, h) that was given for a model."""
    w, h = (int(length) for length in input_size)
    own = find_input_size(model)
    if isinstance(model, TopdownPoseEstimator) and own not in (None, (w, h)):
        raise ValueError(
            f'input_size={(w, h)} (w, h), but the model was built for '
            f'{own}; a top-down model has one size, that of its config'
        )
    if min(w, h) < 1:
        raise ValueError(f'input_size must be positive, got {(w, h)}')
    return w, h


def output_names(model: BasePoseEstimator) -> tuple[str, ...]:
    """Return the names of a model's undecoded outputs."""
    return read_head(model, decode=False, flip_test=False).names


def flatten(outputs: Any) -> tuple[Tensor, ...]:
    """Return the tensors of nested lists and tuples, in their order."""
    if isinstance(outputs, Tensor):
        return (outputs,)
    return tuple(tensor for part in outputs for tensor in flatten(part))
