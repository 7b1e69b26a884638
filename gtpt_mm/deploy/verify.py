"""Exported files compared with the model in torch, on images.

The reference is the eager, unfused model with its head's own ``predict``,
hence with mmpose's codec in numpy, not the code of the exported graph. Points
are compared in pixels of the input.
"""

# B batch, N poses, K keypoints, (h, w) input in pixels

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmpose.models.heads import AssociativeEmbeddingHead
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.structures import PoseDataSample
from torch import Tensor

from .graph import flatten
from .metadata import ModelMetadata
from .runtimes import NETWORKS
from .tensorrt import TensorRTNetwork

#: Batch sizes of the calls, if the file takes any number.
BATCHES = (1, 2, 5)
#: Rounds in which both are timed, in turn; the best counts.
ROUNDS = 5
#: Noise that shows where torch itself is undecided: its standard deviation (a
#: 20th of a grey level, much more than the rounding of runtimes) and the
#: number of draws.
NOISE, NUM_NOISY = 1e-3, 4
#: Share of keypoints that may be undecided.
MAX_UNDECIDED = 0.01
#: Suffix for the stem of a file that failed.
FAILED = '.failed-check'
#: Keypoints (N, K, 2) and scores (N, K) of each image.
Poses = list[tuple[np.ndarray, np.ndarray]]
Call = Callable[[Tensor], Any]


@dataclass
class VerifyReport:
    """How far a file is from torch.

    Attributes:
        file: The file, under its new name if it failed.
        tolerance_px: Pixels of the input that were allowed.
        rounded: Whether the file computes in less than float32. Then the mean
            deviation must be within the tolerance, else the largest.
        max_px: Largest deviation of a decided keypoint, in pixels of the
            input.
        num_keypoints: Keypoints that were compared.
        num_undecided: Those beyond the tolerance that move in torch as well
            if a noise of a 20th of a grey level is added: two maxima are
            equal up to rounding. Up to one in a hundred does not count.
        mean_px: Mean deviation.
        max_score: Largest deviation of a score.
        mean_score: Mean deviation.
        ms_torch: Milliseconds of torch for one call with the first images.
        ms_file: Milliseconds of the file for the same.
        batches: Images of each call.
        threads: Threads of both.
        reason: Why the file could not be compared; '' if it could.
    """

    file: Path
    tolerance_px: float
    rounded: bool = False
    num_keypoints: int = 0
    num_undecided: int = 0
    max_px: float = float('nan')
    mean_px: float = float('nan')
    max_score: float = float('nan')
    mean_score: float = float('nan')
    ms_torch: float = float('nan')
    ms_file: float = float('nan')
    batches: list[int] = field(default_factory=list)
    threads: int = 1
    reason: str = ''

    @property
    def passed(self) -> bool:
        """Whether the deviation is within the tolerance."""
        deviation = self.mean_px if self.rounded else self.max_px
        return not self.reason and deviation <= self.tolerance_px

    def __str__(self) -> str:
        """Return the lines that the command prints."""
        if self.reason:
            return f'FAILED: {self.reason}: {self.file}'
        sizes = ', '.join(map(str, dict.fromkeys(self.batches)))
        which = 'mean' if self.rounded else 'largest'
        deviation = self.mean_px if self.rounded else self.max_px
        verdict = 'passed' if self.passed else 'FAILED'
        undecided = (
            f', without {self.num_undecided} of {self.num_keypoints} '
            'between equal maxima'
            if self.num_undecided
            else ''
        )
        return '\n'.join(
            [
                f'compared with torch on {sum(self.batches)} images in '
                f'batches of {sizes}',
                f'keypoints: {self.max_px:.4f} px largest{undecided}, '
                f'{self.mean_px:.4f} px mean deviation',
                f'scores:    {self.max_score:.6f} largest, '
                f'{self.mean_score:.6f} mean deviation',
                f'speed:     {self.ms_file:.1f} ms, torch '
                f'{self.ms_torch:.1f} ms, {self.ms_torch / self.ms_file:.2f} '
                f'times as fast ({self.batches[0]} image'
                f'{"s" * (self.batches[0] > 1)}, {self.threads} thread'
                f'{"s" * (self.threads > 1)})',
                f'{verdict}: {which} deviation {deviation:.4f} px, limit '
                f'{self.tolerance_px:g} px: {self.file}',
            ]
        )


def verify(
    model: BasePoseEstimator,
    file: str | Path,
    metadata: ModelMetadata,
    batches: Sequence[Tensor],
    tolerance_px: float = 0.1,
) -> VerifyReport:
    """Compare a file with its model.

    A file that deviates by more than the tolerance, or does not run, gets
    ``.failed-check`` behind its stem.

    Args:
        model: The estimator that was exported.
        file: Its file, in any format.
        metadata: Its metadata in the file.
        batches: Normalised images, (B, 3, h, w) each; see
            :func:`make_batches`.
        tolerance_px: Largest deviation that passes, in pixels of the input;
            for files below float32, the largest mean deviation.
    """
    report = VerifyReport(Path(file), tolerance_px)
    report.rounded = metadata.precision != 'fp32'
    report.batches = [len(images) for images in batches]
    report.threads = torch.get_num_threads()
    reference = Reference(model, metadata.flip_test)
    try:
        with torch.inference_mode():
            network = open_file(report.file, metadata)
            _compare(report, reference, network, metadata, batches)
            report.ms_torch, report.ms_file = time_both(
                reference.run, network, batches[0]
            )
    except Exception as error:  # each runtime has its own kinds
        line = (str(error).strip().splitlines() or [''])[0]
        report.reason = f'{type(error).__name__}: {line}'
    if not report.passed:
        report.file = mark_failed(report.file)
    return report


def open_file(file: Path, metadata: ModelMetadata) -> Call:
    """Return a function that runs a file: images to a flat tuple of outputs.

    Raises:
        ImportError: If its runtime is not installed.
    """
    if file.suffix == '.pt2':
        return torch.export.load(file).module()
    if file.suffix == '.engine':
        return TensorRTNetwork(file)
    name = 'openvino' if file.suffix == '.xml' else 'onnxruntime'
    network = NETWORKS[name](file, precision=metadata.precision)
    return lambda images: flatten(network(images))


def make_batches(images: Tensor, batch: str | int = 'dynamic') -> list[Tensor]:
    """Return batches in which each image occurs at least once.

    Args:
        images: Normalised images, (P, 3, h, w); they are repeated until all
            batches are full.
        batch: ``'dynamic'`` for batches of 1, 2 and 5 in turn, or the number
            of images of each.
    """
    sizes = BATCHES if batch == 'dynamic' else (int(batch),)
    batches: list[Tensor] = []
    start = 0
    while start < len(images) or len(batches) < len(sizes):
        size = sizes[len(batches) % len(sizes)]
        index = torch.arange(start, start + size) % len(images)
        batches.append(images[index])
        start += size
    return batches


def mark_failed(file: Path) -> Path:
    """Rename a failed file and the files that belong to it."""
    renamed = file.with_name(f'{file.stem}{FAILED}{file.suffix}')
    if file.suffix == '.xml':  # its weights
        weights = file.with_suffix('.bin')
        weights.replace(renamed.with_suffix('.bin'))
    if file.is_file():
        file.replace(renamed)
    return renamed


def time_both(
    torch_call: Call, file_call: Call, images: Tensor
) -> tuple[float, float]:
    """Return the milliseconds of two calls, the best of rounds in turn."""
    best = [float('inf'), float('inf')]
    for _ in range(ROUNDS):
        for i, call in enumerate((torch_call, file_call)):
            start = time.perf_counter()
            call(images)
            best[i] = min(best[i], 1000 * (time.perf_counter() - start))
    return best[0], best[1]


class Reference:
    """The eager model, and its head's own decoding.

    Args:
        model: The estimator; it stays as it is.
        flip_test: Whether it averages with the mirror image.
    """

    def __init__(self, model: BasePoseEstimator, flip_test: bool) -> None:
        self.model = copy.copy(model).eval()
        self.flip_test = flip_test
        self.test_cfg = {
            **model.test_cfg,
            'output_heatmaps': False,
            'multiscale_test': False,
        }

    def run(self, images: Tensor) -> None:
        """Run the network, without decoding."""
        self.model.head.forward(self.model.extract_feat(images))
        if self.flip_test:
            mirrored = self.model.extract_feat(images.flip(-1))
            self.model.head.forward(mirrored)

    def predict(self, images: Tensor) -> Poses:
        """Return the poses of images, in pixels of the input."""
        feats = self.model.extract_feat(images)
        if self.flip_test:
            feats = [feats, self.model.extract_feat(images.flip(-1))]
        return self._decode(self.model.head, feats, images, self.flip_test)

    def decode(self, outputs: Sequence[Tensor], images: Tensor) -> Poses:
        """Return the poses of outputs of the head, a flat tuple."""
        pattern = self.model.head.forward(self.model.extract_feat(images[:1]))
        rest = iter(outputs)
        filled = _fill(pattern, rest)
        head = copy.copy(self.model.head)
        head.forward = lambda *_: filled
        return self._decode(head, (images,), images, False)

    def _decode(
        self, head: Any, feats: Any, images: Tensor, flip_test: bool
    ) -> Poses:
        h, w = images.shape[-2:]
        metainfo = getattr(self.model, 'dataset_meta', None) or {}
        facts = dict(
            flip_indices=metainfo.get('flip_indices'),
            batch_input_shape=(h, w),
            img_shape=(h, w),
            input_size=(w, h),
        )
        samples = [PoseDataSample(metainfo=facts) for _ in images]
        test_cfg = {**self.test_cfg, 'flip_test': flip_test}
        if isinstance(head, AssociativeEmbeddingHead) and not flip_test:
            feats = list(feats)  # the head needs a list
        found = head.predict(feats, samples, test_cfg=test_cfg)
        found = found[0] if isinstance(found, tuple) else found
        return [(p.keypoints[..., :2], p.keypoint_scores) for p in found]


def _fill(pattern: Any, rest: Iterator[Tensor]) -> Any:
    """Return tensors in the structure of others."""
    if isinstance(pattern, Tensor):
        return next(rest)
    return type(pattern)([_fill(part, rest) for part in pattern])


def _compare(
    report: VerifyReport,
    reference: Reference,
    network: Call,
    metadata: ModelMetadata,
    batches: Sequence[Tensor],
) -> None:
    """Write the deviations into a report."""
    is_topdown = isinstance(reference.model, TopdownPoseEstimator)
    pixels, scores, undecided = [], [], []
    for images in batches:
        expected = reference.predict(images)
        found = find_poses(reference, network, metadata, images)
        for one, other in zip(expected, found, strict=True):
            if not is_topdown:
                other = _match(one, other)
            difference = np.asarray(one[0]) - np.asarray(other[0])
            pixels.append(np.linalg.norm(difference, axis=-1).ravel())
            scores.append(np.abs(one[1] - other[1]).ravel())
        moved = np.concatenate(pixels[-len(images) :]) > report.tolerance_px
        if is_topdown and not report.rounded and moved.any():
            moved &= _find_undecided(reference, images, report.tolerance_px)
            undecided.append(moved)
        else:
            undecided.append(np.zeros_like(moved))
    distance, deviation = np.concatenate(pixels), np.concatenate(scores)
    if not distance.size:
        raise ValueError('torch finds nobody in the images: give others')
    _, report.mean_px = _summarise(distance)
    report.num_keypoints = distance.size
    left_out = np.concatenate(undecided)
    if left_out.sum() <= MAX_UNDECIDED * distance.size:
        report.num_undecided = int(left_out.sum())
        distance = distance[~left_out]
    report.max_px, _ = _summarise(distance)
    report.max_score, report.mean_score = _summarise(deviation)


def _find_undecided(
    reference: Reference, images: Tensor, tolerance_px: float
) -> np.ndarray:
    """Return which keypoints of images move in torch under noise, flat.

    Where two places of a heatmap or of a distribution are equal up to
    rounding, no runtime can be expected to choose the same one.
    """
    generator = torch.Generator().manual_seed(0)
    poses = reference.predict(images)
    keypoints = np.stack([np.asarray(keypoints) for keypoints, _ in poses])
    moves = np.zeros(keypoints.shape[:-1], bool)
    for _ in range(NUM_NOISY):
        noise = torch.randn(images.shape, generator=generator) * NOISE
        noisy = reference.predict(images + noise)
        others = np.stack([np.asarray(keypoints) for keypoints, _ in noisy])
        moves |= np.linalg.norm(others - keypoints, axis=-1) > tolerance_px
    return moves.ravel()


def find_poses(
    reference: Reference,
    network: Call,
    metadata: ModelMetadata,
    images: Tensor,
) -> Poses:
    """Return the poses of an opened file, in pixels of the input."""
    outputs = network(images)
    if not metadata.decode:
        return reference.decode(outputs, images)
    is_topdown = isinstance(reference.model, TopdownPoseEstimator)
    return _split_poses(outputs, is_topdown)


def _summarise(values: np.ndarray) -> tuple[float, float]:
    return float(values.max()), float(values.mean())


def _split_poses(outputs: Sequence[Tensor], is_topdown: bool) -> Poses:
    """Return decoded outputs image by image."""
    keypoints, scores = (output.numpy() for output in outputs)
    if is_topdown:
        keypoints, scores = keypoints[:, None], scores[:, None]
    elif scores.ndim < keypoints.ndim - 1:  # of poses: of all their keypoints
        scores = np.broadcast_to(scores[..., None], keypoints.shape[:-1])
    return list(zip(keypoints, scores, strict=True))


def _match(
    poses: tuple[np.ndarray, np.ndarray], found: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pose of torch the nearest one of the file.

    Poses are sorted by scores, which rounding may swap.
    """
    if not len(found[0]):
        raise ValueError('the file finds nobody where torch does')
    difference = poses[0][:, None] - found[0][None]  # (N, N', K, 2)
    distance = np.linalg.norm(difference, axis=-1).mean(-1)
    nearest = distance.argmin(1)
    return found[0][nearest], found[1][nearest]
