"""What an exported file computes: images to outputs or keypoints."""

# B batch, K keypoints, (h, w) input in pixels

import copy
from typing import Any

import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from gtpt_mm.models.pose_estimators import MultiDatasetPoseEstimator

from .export_modules import replace_modules
from .fuse import can_fuse, fuse
from .graph_heads import HeadOutputs, read_head


class ExportGraph(nn.Module):
    """Network of an estimator as plain tensors in, plain tensors out.

    Args:
        model: A copy in eval mode whose modules may be replaced.
        outputs: Names, averaging and decoding of its head's outputs.
        decode: Whether keypoints and scores are returned.
        flip_test: Whether outputs are averaged with the mirror image's.

    Attributes:
        input_size: Size (w, h) of the images; None: any.
    """

    def __init__(
        self,
        model: BasePoseEstimator,
        outputs: HeadOutputs,
        decode: bool,
        flip_test: bool,
    ) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = model.head
        self.outputs = outputs
        self.decode = decode
        self.flip_test = flip_test
        size = getattr(getattr(model.head, 'decoder', None), 'input_size', ())
        self.input_size = tuple(int(length) for length in size) or None

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of what ``forward`` returns, in its order."""
        return ('keypoints', 'scores') if self.decode else self.outputs.names

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
            pairs = [output.chunk(2) for output in both]
            plain, mirrored = zip(*pairs, strict=True)
            outputs = self.outputs.average(plain, mirrored)
        else:
            outputs = self.run(images)
        return self.outputs.decode(outputs, images) if self.decode else outputs

    def run(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of the head in a flat tuple."""
        return flatten(self.head(self.neck(self.backbone(images))))


def make_graph(
    model: BasePoseEstimator, decode: bool = False, flip_test: bool = False
) -> ExportGraph:
    """Return what a file of a model computes; the model stays as it is.

    Args:
        model: A trained estimator of gtpt_mm or mmpose. With ``flip_test`` it
            has ``dataset_meta``, as from ``load_model``.
        decode: Whether the graph ends in keypoints and scores, as the codec
            of the head decodes them.
        flip_test: Whether the graph averages with the mirror image, as the
            model's ``test_cfg`` says, except that it need not ask for it.

    Raises:
        ValueError: If the head or its codec is not supported; it names it.
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
    graph = ExportGraph(fused, outputs, decode, flip_test)
    return replace_modules(graph).eval().requires_grad_(False)


def output_names(model: BasePoseEstimator) -> tuple[str, ...]:
    """Return the names of a model's undecoded outputs."""
    return read_head(model, decode=False, flip_test=False).names


def flatten(outputs: Any) -> tuple[Tensor, ...]:
    """Return the tensors of nested lists and tuples, in their order."""
    if isinstance(outputs, Tensor):
        return (outputs,)
    return tuple(tensor for part in outputs for tensor in flatten(part))
