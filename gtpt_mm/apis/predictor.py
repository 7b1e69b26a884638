"""A model behind one call: dict of arrays in, dict of arrays out."""

# N images, P people of all images, K keypoints

import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmpose.models.pose_estimators import TopdownPoseEstimator
from torch import nn

from gtpt_mm.compat.inference.inferencer_boxes import MAX_COORDINATE
from gtpt_mm.deploy.runtimes import find_runtime

from .bottomup import BottomUp
from .chosen_runtime import use_runtime
from .prepared_model import prepare_model, set_scope
from .results import Frame, PoseResult, Skeleton
from .topdown import TopDown

#: Largest side of an image in pixels: OpenCV uses 16 bits.
MAX_SIDE = 2**15 - 2
DTYPES = ('auto', 'float32', 'bfloat16', 'float16', 'float64')


class Predictor:
    """Predicts keypoints of many people in few passes of the network.

    The numbers are those of mmpose's own pipeline, which predicts one person
    after the other. A predictor holds only its arguments, so it can be pickled
    and sent to other processes; the model is built at the first use in a
    process. Threads may share a predictor.

    Args:
        model: A name, a path or a config, as for :func:`gtpt_mm.load_model`;
            or a built model with ``cfg`` and ``dataset_meta``, which stays as
            it is.
        weights: As for ``load_model``: a checkpoint; None for the public
            weights of a name; ``'random'``.
        device: Such as ``'cpu'`` or ``'cuda:1'``; ``'auto'`` is a GPU if
            there is one, and the device of a built model.
        dtype: Type of weights and images: ``'float32'``, ``'bfloat16'``,
            ``'float16'`` or ``'float64'``; ``'auto'`` is that of the weights,
            usually float32, on any device.
        batch_size: Largest number of people, or of images for a bottom-up
            model, in one pass. A CPU takes them in smaller portions, which is
            faster.
        flip_test: Whether to average with the mirror image; None follows the
            config.
        dataset: Dataset of a ViTPose++; None is its first.
        runtime: Runtime of the network: ``'torch'``; ``'onnxruntime'`` or
            ``'openvino'``, on a CPU in float32, from a file that is exported
            once into the cache; ``'auto'``: the fastest installed one,
            measured once, and torch on a GPU.

    Raises:
        ValueError: If an argument is unknown, or the runtime does not support
            the device or the dtype.
        ImportError: If the runtime is not installed.

    Example:
        >>> predict = Predictor('config.py', 'weights.pth')  # doctest: +SKIP
        >>> people = predict(dict(
        ...     images=[image], boxes=[boxes]))  # doctest: +SKIP
        >>> people['keypoints'].shape  # doctest: +SKIP
        (3, 17, 2)
    """

    #: Classes that predict with a model of either kind.
    top_down: type[TopDown] = TopDown
    bottom_up: type[BottomUp] = BottomUp

    def __init__(
        self,
        model: str | os.PathLike | Config | nn.Module,
        weights: str | os.PathLike | None = None,
        *,
        device: str = 'auto',
        dtype: str = 'auto',
        batch_size: int = 32,
        flip_test: bool | None = None,
        dataset: str | None = None,
        runtime: str = 'torch',
    ) -> None:
        dtype = str(dtype).removeprefix('torch.')
        if dtype not in DTYPES:
            raise ValueError(f'dtype must be one of {DTYPES}, got {dtype!r}')
        if runtime not in ('auto', 'torch'):
            if device == 'auto' and not isinstance(model, nn.Module):
                device = 'cpu'
            find_runtime(
                runtime,
                'cpu' if device == 'auto' else device,
                'float32' if dtype == 'auto' else dtype,
            )
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(
                f'batch_size must be a positive integer, got {batch_size!r}'
            )
        if not isinstance(flip_test, bool | np.bool_ | None):
            raise ValueError(
                f'flip_test must be True, False or None, got {flip_test!r}'
            )
        if isinstance(model, nn.Module) and weights is not None:
            raise ValueError('a built model has its weights: give no others')
        self._arguments: dict[str, Any] = dict(
            model=model,
            weights=weights,
            device=device,
            dtype=dtype,
            flip_test=flip_test,
            dataset=dataset,
            runtime=runtime,
        )
        self.batch_size = batch_size
        self._engine: TopDown | BottomUp | None = None
        self._skeleton: Skeleton | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict:
        """Leave out the parts that each process builds."""
        state = dict(self.__dict__, _engine=None)
        del state['_lock']
        return state

    def __setstate__(self, state: dict) -> None:
        """Take the arguments."""
        self.__dict__.update(state, _lock=threading.Lock())

    def build(self) -> TopDown | BottomUp:
        """Return the model with its pipeline; the first call builds it."""
        with self._lock:
            if self._engine is None:
                model = prepare_model(**self._arguments)
                set_scope(model.cfg)
                model, network = use_runtime(
                    model, self._arguments['runtime'], self.batch_size
                )
                is_topdown = isinstance(model, TopdownPoseEstimator)
                kind = self.top_down if is_topdown else self.bottom_up
                self._engine = kind(model, self.batch_size, network)
            return self._engine

    @property
    def settings(self) -> dict[str, str | bool | None]:
        """Settings that affect the numbers, as plain values; no device."""
        model = self._arguments['model']
        if isinstance(model, Config | nn.Module):
            model = f'a {type(model).__name__}'
        weights = self._arguments['weights']
        flip_test = self._arguments['flip_test']
        return dict(
            model=str(model),
            weights=None if weights is None else str(weights),
            dataset=self._arguments['dataset'],
            dtype=self._arguments['dtype'],
            flip_test=None if flip_test is None else bool(flip_test),
            runtime=self._arguments['runtime'],
        )

    @property
    def needs_boxes(self) -> bool:
        """Whether the model is top-down: each person comes in a box."""
        return isinstance(self.build(), TopDown)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.build().model.parameters()).device

    @property
    def dataset_meta(self) -> dict:
        """Metainfo of the dataset whose keypoints are predicted."""
        return self.build().model.dataset_meta

    @property
    def skeleton(self) -> Skeleton:
        """Names and links of the keypoints."""
        if self._skeleton is None:
            self._skeleton = Skeleton.from_metainfo(self.dataset_meta)
        return self._skeleton

    def __call__(self, batch: dict[str, Any]) -> dict[str, np.ndarray]:
        """Return the people in images.

        Args:
            batch: ``images``, N of them, BGR, uint8, (H, W, 3); for a top-down
                model also ``boxes``, (n, 4) for each image as (x1, y1, x2, y2)
                in pixels, and optionally ``box_scores``, (n,) for each image.

        Returns:
            Arrays over the P people of all images, in the order of the
            images: ``keypoints``, (P, K, 2), and ``boxes``, (P, 4), in
            pixels of the image; ``scores``, (P, K); ``box_scores``, (P,);
            ``image_index``, (P,).

        Raises:
            ValueError: If an image or a box is invalid, an entry is unknown,
                or boxes are given to a model that is not top-down.
        """
        engine = self.build()
        _check_keys(batch)
        images = [_check_image(x, i) for i, x in enumerate(batch['images'])]
        with torch.inference_mode():
            if isinstance(engine, BottomUp):
                _refuse_boxes(batch)
                people, index = engine(images), np.arange(len(images))
            else:
                boxes, scores, index = _flatten(batch, len(images))
                people = engine(images, boxes, scores, index)
        return self._pack(people, index)

    def _pack(
        self, people: Sequence[InstanceData], index: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Join the people of crops or of images into arrays."""
        names = ('keypoints', 'scores', 'boxes', 'box_scores')
        arrays: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for poses in people:
            keypoints = np.asarray(poses.keypoints)[..., :2]
            scores = np.asarray(poses.keypoint_scores)
            boxes = poses.get('bboxes')
            box_scores = poses.get('bbox_scores')
            if boxes is None:
                corners = keypoints.min(1), keypoints.max(1)
                boxes = np.concatenate(corners, axis=1)
            if box_scores is None:
                box_scores = scores.mean(1)
            arrays['keypoints'].append(keypoints)
            arrays['scores'].append(scores)
            arrays['boxes'].append(np.asarray(boxes))
            arrays['box_scores'].append(np.asarray(box_scores))
        counts = [len(rows) for rows in arrays['keypoints']]
        if not counts:
            nobody = PoseResult.empty(self.skeleton, Frame(None, ''))
            arrays = {name: [getattr(nobody, name)] for name in names}
        weights = next(self.build().model.parameters())
        dtype = np.dtype('f8' if weights.dtype == torch.float64 else 'f4')
        packed = {
            name: np.concatenate(rows).astype(dtype)
            for name, rows in arrays.items()
        }
        return dict(packed, image_index=np.repeat(index, counts).astype(int))


def _check_keys(batch: dict[str, Any]) -> None:
    unknown = set(batch) - {'images', 'boxes', 'box_scores'}
    if unknown:
        raise ValueError(
            f"a batch has 'images', 'boxes' and 'box_scores', no "
            f'{", ".join(map(repr, sorted(unknown)))}'
        )


def _refuse_boxes(batch: dict[str, Any]) -> None:
    if batch.get('boxes') is not None:
        raise ValueError(
            "'boxes' were given, but the model finds the people by itself"
        )


def _check_image(image: Any, index: int) -> np.ndarray:
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(
            f'images[{index}] is an array of {array.dtype}, shape '
            f'{array.shape}; an image is uint8, BGR, (H, W, 3)'
        )
    if not array.size:
        raise ValueError(f'images[{index}] is empty, shape {array.shape}')
    if words := find_excess(array):
        raise ValueError(f'images[{index}]: {words}')
    return array


def find_excess(image: np.ndarray) -> str:
    """Return why an image is too large, '' if it is not."""
    h, w = image.shape[:2]
    if max(h, w) <= MAX_SIDE:
        return ''
    return f'{w} x {h} pixels are too many: OpenCV crops up to {MAX_SIDE}'


def _check_shape(boxes: Any, index: int) -> np.ndarray:
    array = np.asarray(boxes, np.float32)
    if not array.size:
        return array.reshape(0, 4)
    if array.ndim not in (1, 2) or array.shape[-1] != 4:
        raise ValueError(
            f'boxes[{index}] has shape {array.shape}; it is (n, 4), with '
            "scores in 'box_scores'"
        )
    return array.reshape(-1, 4)


def _flatten(
    batch: dict[str, Any], num_images: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes, their scores and the image of each person."""
    if batch.get('boxes') is None:
        raise ValueError("a top-down model needs 'boxes', (n, 4) per image")
    boxes = [_check_shape(b, i) for i, b in enumerate(batch['boxes'])]
    scores = batch.get('box_scores')
    if scores is None:
        scores = [np.ones(len(b)) for b in boxes]
    scores = [np.asarray(s, np.float32) for s in scores]
    if [len(s) for s in scores] != [len(b) for b in boxes] or (
        len(boxes) != num_images
    ):
        raise ValueError(
            f'{num_images} images have {len(boxes)} arrays of boxes, '
            f'{[len(b) for b in boxes]}, and scores {[len(s) for s in scores]}'
        )
    flat = np.concatenate([np.zeros((0, 4), np.float32), *boxes])
    bad = ~np.isfinite(flat).all(1) | (flat[:, 2:] <= flat[:, :2]).any(1)
    if bad.any():
        raise ValueError(
            f'the box {flat[bad][0]} is not finite, empty or reversed: (x1, '
            'y1, x2, y2) requires x2 > x1 and y2 > y1'
        )
    is_far = (np.abs(flat) > MAX_COORDINATE).any(1)
    if is_far.any():
        raise ValueError(
            f'the box {flat[is_far][0]} reaches beyond any image; coordinates '
            f'are pixels, at most {MAX_COORDINATE:g}'
        )
    counts = [len(b) for b in boxes]
    return (
        flat,
        np.concatenate([np.zeros(0, np.float32), *scores]),
        np.repeat(np.arange(num_images), counts),
    )
