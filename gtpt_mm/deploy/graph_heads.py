"""Heads as an exported file sees them: names, flip test, decoding."""

# B batch, K keypoints, W bins, (h, w) heatmap

import inspect
from functools import singledispatch
from typing import Any

import torch
from mmpose.models.heads import (
    AssociativeEmbeddingHead,
    CIDHead,
    HeatmapHead,
    RTMCCHead,
    RTMWHead,
    SimCCHead,
)
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from gtpt_mm.codecs.group_pose_label import PERSON
from gtpt_mm.models import GroupPoseHead, GTPTHead

from .graph_codecs import make_decoder

Outputs = tuple[Tensor, ...]


class HeadOutputs(nn.Module):
    """Outputs of a head: their names, averaging and decoding.

    Args:
        model: The estimator; its head, ``test_cfg`` and, for the flip test,
            ``dataset_meta`` are read.
        decode: Whether :meth:`decode` is called.
        flip_test: Whether :meth:`average` is called.

    Raises:
        ValueError: If the head or its codec does not support them.
    """

    names: tuple[str, ...] = ()
    #: Smallest side in pixels of images of any size; None: unknown.
    smallest_side: int | None = None

    def __init__(
        self, model: BasePoseEstimator, decode: bool, flip_test: bool
    ) -> None:
        super().__init__()
        self.test_cfg: dict[str, Any] = dict(model.test_cfg)
        if flip_test:
            self.flip_indices = read_flip_indices(model)
        if decode:
            if self.test_cfg.get('output_keypoint_indices') is not None:
                raise ValueError(
                    'test_cfg.output_keypoint_indices selects keypoints, '
                    'which decoding in the file does not: export without '
                    'decode'
                )
            self.decoder = self.make_decoder(model.head)

    def make_decoder(self, head: nn.Module) -> nn.Module:
        """Return the decoder of the codec: outputs to keypoints, scores."""
        return make_decoder(head.decoder)

    def average(self, outputs: Outputs, mirrored: Outputs) -> Outputs:
        """Return the average with the outputs for the mirror image."""
        raise NotImplementedError

    def decode(self, outputs: Outputs, images: Tensor) -> Outputs:
        """Return keypoints in pixels of the input, and scores."""
        return self.decoder(*outputs)


class OtherOutputs(HeadOutputs):
    """Outputs of an unknown head: numbered, as they are."""

    def __init__(
        self, model: BasePoseEstimator, decode: bool, flip_test: bool
    ) -> None:
        super().__init__(model, False, False)
        wanted = [
            word
            for word, flag in (('decode', decode), ('flip_test', flip_test))
            if flag
        ]
        if wanted:
            raise ValueError(
                f'{" and ".join(wanted)} in a file of a '
                f'{type(model.head).__name__} is not supported; export it '
                'without: the file then ends in the outputs of the head'
            )


class GroupingOutputs(OtherOutputs):
    """Outputs of a bottom-up head: heatmaps, and tags that group keypoints."""

    names = ('heatmaps', 'tags')


class HeatmapOutputs(HeadOutputs):
    """Outputs of heads with one heatmap for each keypoint."""

    names = ('heatmaps',)

    def __init__(
        self, model: BasePoseEstimator, decode: bool, flip_test: bool
    ) -> None:
        super().__init__(model, decode, flip_test)
        mode = self.test_cfg.get('flip_mode', 'heatmap')
        if flip_test and mode != 'heatmap':
            raise ValueError(
                f'flip_mode={mode!r} in a file is not supported; export '
                'without flip_test'
            )

    def average(self, outputs: Outputs, mirrored: Outputs) -> Outputs:
        """Return the average; the mirrored map may be moved by a pixel."""
        other = mirrored[0].flip(-1)[:, self.flip_indices]
        if self.test_cfg.get('shift_heatmap', False):
            other = torch.cat((other[..., :1], other[..., :-1]), dim=-1)
        return ((outputs[0] + other) * 0.5,)


class SimCCOutputs(HeadOutputs):
    """Outputs of mmpose's heads that classify bins of x and y."""

    names = ('simcc_x', 'simcc_y')

    def average(self, outputs: Outputs, mirrored: Outputs) -> Outputs:
        """Return the average; mmpose's heads do not move bins."""
        x, y = (output[:, self.flip_indices] for output in mirrored)
        return (
            (outputs[0] + self.align(x.flip(-1))) * 0.5,
            (outputs[1] + y) * 0.5,
        )

    def align(self, x: Tensor) -> Tensor:
        """Return mirrored bins aligned with those of the image."""
        return x


class GTPTOutputs(SimCCOutputs):
    """Outputs of a ``GTPTHead``: logits; probabilities are decoded."""

    def __init__(
        self, model: BasePoseEstimator, decode: bool, flip_test: bool
    ) -> None:
        super().__init__(model, decode, flip_test)
        shift = round(model.head.decoder.simcc_split_ratio) - 1
        shifts = self.test_cfg.get('shift_heatmap', True)
        self.shift = shift if shifts else 0

    def align(self, x: Tensor) -> Tensor:
        """Return bins moved as ``GTPTHead.predict`` does."""
        if self.shift <= 0:
            return x
        last = x[..., -1:].expand(-1, -1, self.shift)
        return torch.cat((x[..., self.shift :], last), dim=-1)

    def make_decoder(self, head: nn.Module) -> nn.Module:
        """Return the decoder of the codec, of probabilities."""
        return LogitsDecoder(super().make_decoder(head))


class LogitsDecoder(nn.Module):
    """Decodes logits by a decoder of probabilities.

    Args:
        decoder: Takes horizontal and vertical probabilities.
    """

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, x: Tensor, y: Tensor) -> Outputs:
        """Return keypoints and scores of logits, (B, K, W) each."""
        return self.decoder(x.softmax(dim=-1), y.softmax(dim=-1))


class GroupPoseOutputs(HeadOutputs):
    """Outputs of a ``GroupPoseHead``: poses, decoded to the best ones."""

    names = ('logits', 'keypoints')

    def __init__(
        self, model: BasePoseEstimator, decode: bool, flip_test: bool
    ) -> None:
        if flip_test:
            raise ValueError('GroupPoseHead has no flip_test')
        super().__init__(model, decode, flip_test)
        self.smallest_side = smallest_side(model.head)
        num_queries = model.head.selector.num_queries
        self.num_select = min(self.test_cfg.get('num_select', 50), num_queries)

    def make_decoder(self, head: nn.Module) -> nn.Module:
        """Return a placeholder; there is nothing to prepare.

        Raises:
            ValueError: If ``test_cfg`` drops poses: their number would vary.
        """
        for name in ('score_thr', 'nms_thr'):
            if self.test_cfg.get(name):
                raise ValueError(
                    f'test_cfg.{name} in a file is not supported, a file '
                    'returns the same number of poses for each image: drop '
                    'poses behind it, or export without decode'
                )
        return nn.Identity()

    def decode(self, outputs: Outputs, images: Tensor) -> Outputs:
        """Return keypoints, (B, n, K, 2), in pixels, and scores, (B, n)."""
        logits, keypoints = outputs
        scores = logits[..., PERSON].sigmoid()
        scores, indices = scores.topk(self.num_select, dim=1)
        indices = indices[..., None, None].expand(-1, -1, *keypoints.shape[2:])
        keypoints = keypoints.gather(1, indices)
        height, width = images.shape[-2:]
        pixels = (keypoints[..., 0] * width, keypoints[..., 1] * height)
        return torch.stack(pixels, dim=-1), scores


def smallest_side(head: GroupPoseHead) -> int:
    """Return the side in pixels of a square with a token for each query.

    The tracer may not assume a smaller image: it could not fill the queries.
    """
    side, strides = 64, [8 * 2**i for i in range(head.num_levels)]
    while (
        sum((side // stride) ** 2 for stride in strides)
        < head.selector.num_queries
    ):
        side += 32
    return side


@singledispatch
def outputs_class(head: nn.Module) -> type[HeadOutputs]:
    """Return the class that describes the outputs of a head."""
    return OtherOutputs


for _head, _outputs in (
    (HeatmapHead, HeatmapOutputs),
    (AssociativeEmbeddingHead, GroupingOutputs),
    (SimCCHead, SimCCOutputs),
    (RTMCCHead, SimCCOutputs),
    (RTMWHead, SimCCOutputs),
    (GTPTHead, GTPTOutputs),
    (GroupPoseHead, GroupPoseOutputs),
):
    outputs_class.register(_head)(lambda _, kind=_outputs: kind)


def read_head(
    model: BasePoseEstimator, decode: bool, flip_test: bool
) -> HeadOutputs:
    """Return the description of a model's outputs.

    Raises:
        ValueError: If the head or its codec does not support the options, or
            no file can hold it.
    """
    head = model.head
    if isinstance(head, CIDHead):
        raise ValueError(
            'a CID cannot be exported: it takes one image at a time and finds '
            'people before it computes their heatmaps, so that the number of '
            'its outputs depends on the image'
        )
    kind = outputs_class(head)
    if (decode or flip_test) and not issubclass(kind, OtherOutputs):
        _check_predict(head)
    return kind(model, decode, flip_test)


def _check_predict(head: nn.Module) -> None:
    """Raise if a subclass predicts differently from its known base."""
    kinds: tuple[Any, ...] = type(head).__mro__
    known = next(k for k in kinds if k in outputs_class.registry)
    own, base = (inspect.unwrap(k.predict) for k in (kinds[0], known))
    if own is not base:
        raise ValueError(
            f'{type(head).__name__} predicts in another way than '
            f'{known.__name__}; export it without decode and flip_test'
        )


def read_flip_indices(model: BasePoseEstimator) -> list[int]:
    """Return the index of each keypoint's mirror image.

    Raises:
        ValueError: If the model has no ``dataset_meta``.
    """
    metainfo = getattr(model, 'dataset_meta', None) or model.metainfo
    if not metainfo or 'flip_indices' not in metainfo:
        raise ValueError(
            'flip_test needs the symmetry of the keypoints: the model has no '
            "dataset_meta with 'flip_indices'; build it by "
            'gtpt_mm.load_model or mmpose.apis.init_model'
        )
    return [int(index) for index in metainfo['flip_indices']]
