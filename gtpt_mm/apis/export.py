"""Models by name written into files of other runtimes, and checked."""

# P crops, (h, w) input in pixels

import copy
import math
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from gtpt_mm.compat.messages import warn
from gtpt_mm.deploy.export import check_arguments, export_model
from gtpt_mm.deploy.metadata import ModelMetadata
from gtpt_mm.deploy.quantize import has_dot_products, quantize
from gtpt_mm.deploy.verify import VerifyReport, make_batches, verify
from gtpt_mm.models.pose_estimators import MultiDatasetPoseEstimator

from .export_accuracy import AnnotatedCrops, compare_ap, read_annotated
from .model_names import load_model
from .prepared_model import check_built, set_scope, split_off
from .sample_picture import draw_pictures
from .topdown import make_cropper

#: Largest accepted deviation of a file, in pixels of the input.
TOLERANCE, TOLERANCE_INT8 = 0.1, 0.5
#: Pictures that are enough for the ranges of activations.
PICTURES_OF_INT8 = 100


@dataclass
class ExportedModel:
    """A written file and how it compares with torch.

    Attributes:
        file: The file; its name contains ``.failed-check`` if it failed.
        metadata: Metadata of the model in the file.
        report: The comparison.
        notes: Lines for the user, such as the command for TensorRT.
    """

    file: Path
    metadata: ModelMetadata
    report: VerifyReport
    notes: list[str] = field(default_factory=list)


def export(
    model: str | os.PathLike | Config | nn.Module,
    weights: str | os.PathLike | None = None,
    *,
    file: str | os.PathLike,
    format: str = 'onnx',
    precision: str = 'fp32',
    batch: str | int = 'dynamic',
    decode: bool = False,
    flip_test: bool = False,
    dataset: str | None = None,
    input_size: tuple[int, int] | None = None,
    tolerance_px: float | None = None,
    pictures: str | os.PathLike | None = None,
    annotations: str | os.PathLike | None = None,
) -> ExportedModel:
    """Write a model into a file of another runtime, and check the file.

    Args:
        model: A name, a path or a config, as for ``load_model``; or a built
            model with ``cfg`` and ``dataset_meta``, which stays as it is.
        weights: As for ``load_model``.
        file: File to write: .onnx, .xml, .pt2 or .engine, by ``format``.
        format: ``'onnx'``, ``'openvino'``, ``'torch-export'`` or
            ``'tensorrt'``.
        precision: ``'fp32'``, ``'fp16'``, or ``'int8'`` of ONNX files.
        batch: ``'dynamic'`` for any number of images, or their number.
        decode: Whether the file ends in keypoints and scores.
        flip_test: Whether the file averages with the mirror image.
        dataset: Dataset of a ViTPose++; None is its first.
        input_size: Size (w, h) of the images of a bottom-up model; None: that
            of its codec, or any.
        tolerance_px: Largest deviation that passes, in pixels of the input;
            for fp16 and int8 the largest mean deviation. None: 0.1, and 0.5
            for int8.
        pictures: A picture, or a folder of them, for the comparison, and to
            calibrate int8; each whole picture is one box. None: drawn figures,
            which int8 does not accept.
        annotations: COCO file of keypoints. Its boxes in ``pictures`` are then
            used instead of whole pictures, and AP is measured.

    Raises:
        ValueError: If an argument is unknown, or the model has no such file.
        ImportError: If a package is missing; it names the extra.

    Example:
        >>> made = gtpt_mm.export(
        ...     'gtpt-t', file='gtpt-t.onnx')  # doctest: +SKIP
        >>> made.report.max_px  # doctest: +SKIP
        0.0
    """
    path = Path(file)
    if path.is_dir():
        raise ValueError(f'{path} is a folder; give the name of a file')
    check_arguments(path, format, precision, batch)
    is_int8 = precision == 'int8'
    if is_int8 and pictures is None and annotations is None:
        raise ValueError('int8 needs pictures such as the model will see')
    tolerance_px = _find_tolerance(tolerance_px, is_int8)
    loaded = load(model, weights, dataset)
    annotated = None
    if annotations is not None:
        annotated = read_annotated(loaded, annotations, pictures)
    images = read_pictures(pictures) if annotated is None else []
    width = 'fp32' if is_int8 else precision
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file is moved to its place only after the check.
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix='.gtpt_mm-'
    ) as folder:
        made = export_model(
            loaded, Path(folder, path.name), format, width, batch, decode,
            flip_test, input_size, portable=is_int8,
        )  # fmt: skip
        batches = (
            make_inputs(loaded, images, made.metadata)
            if annotated is None
            else make_batches(annotated.crops, made.metadata.batch)
        )
        if is_int8:
            made.metadata.precision = precision
            num = len(images if annotated is None else annotated.crops)
            made.notes.append(
                _quantize(made.file, batches, made.metadata, num)
            )
        report = verify(
            loaded, made.file, made.metadata, batches, tolerance_px
        )
        if annotated is not None and not report.reason:
            made.notes.append(
                _compare_ap(loaded, report.file, made.metadata, annotated)
            )
        if not report.passed and not report.reason:
            made.notes += _advise(weights == 'random', is_int8)
        notes = _move(Path(folder), path.parent, report, made.notes)
    return ExportedModel(report.file, made.metadata, report, notes)


def _find_tolerance(tolerance_px: float | None, is_int8: bool) -> float:
    if tolerance_px is None:
        return TOLERANCE_INT8 if is_int8 else TOLERANCE
    if not 0 <= tolerance_px < math.inf:
        raise ValueError(
            f'tolerance_px must be a number of pixels >= 0, got {tolerance_px}'
        )
    return tolerance_px


def _advise(is_random: bool, is_int8: bool) -> list[str]:
    """Return what to do about a file that deviates too much."""
    advice = []
    if is_random:
        advice.append(
            'the weights are random, so that maxima of heatmaps are nearly '
            'equal: check a trained model'
        )
    if is_int8:
        advice.append(
            'give more pictures such as the model will see (about '
            f'{PICTURES_OF_INT8}), or use fp32'
        )
    return advice


def _compare_ap(
    model: BasePoseEstimator,
    file: Path,
    metadata: ModelMetadata,
    annotated: AnnotatedCrops,
) -> str:
    """Return a line for the user."""
    ap = compare_ap(model, file, metadata, annotated)
    return (
        f'AP {ap[1]:.3f}, torch {ap[0]:.3f} '
        f'({len(annotated.annotations)} annotated boxes)'
    )


def _move(
    source: Path, target: Path, report: VerifyReport, notes: list[str]
) -> list[str]:
    """Move files to their folder, weights before the file that reads them.

    Returns:
        The notes, with the new paths of the files; the report gets them too.
    """
    for file in sorted(source.iterdir()):
        shutil.move(file, os.path.realpath(target / file.name))
    report.file = target / report.file.name
    places = f'{source}{os.sep}', f'{target / "_"}'[:-1]
    report.reason = report.reason.replace(*places)
    return [note.replace(*places) for note in notes]


def _quantize(
    file: Path,
    batches: list[Tensor],
    metadata: ModelMetadata,
    num_pictures: int,
) -> str:
    """Turn a file in float32 into one in int8; return a line for the user."""
    before = file.stat().st_size
    crops = [images.numpy() for images in batches]
    nodes = quantize(file, file, crops, notes=metadata.to_texts())
    line = (
        f'int8: {len(nodes)} products, {before / 1e6:.1f} MB -> '
        f'{file.stat().st_size / 1e6:.1f} MB'
    )
    if not has_dot_products():
        line += '; this processor has no 8-bit dot products (VNNI)'
    if num_pictures < PICTURES_OF_INT8 / 2:
        line += (
            f'; {num_pictures} pictures are few to measure ranges on, about '
            f'{PICTURES_OF_INT8} are better'
        )
    return line


def load(
    model: str | os.PathLike | Config | nn.Module,
    weights: str | os.PathLike | None,
    dataset: str | None,
) -> BasePoseEstimator:
    """Return a model on the CPU in float32, for one dataset."""
    if isinstance(model, nn.Module):
        if weights is not None:
            raise ValueError('a built model has its weights: give no others')
        loaded = check_built(model)
    else:
        loaded = load_model(model, weights, 'cpu', dataset)
    if isinstance(loaded, MultiDatasetPoseEstimator):
        loaded = split_off(loaded, dataset)
    parameter = next(loaded.parameters())
    if parameter.device.type != 'cpu' or parameter.dtype != torch.float32:
        raise ValueError(
            f'the model is in {parameter.dtype} on {parameter.device}; '
            'export one in float32 on the CPU, the file has a precision of '
            'its own'
        )
    set_scope(loaded.cfg)
    if loaded is model and any(part.training for part in model.modules()):
        loaded = copy.deepcopy(loaded)  # the given one may still be trained
    return loaded.eval()


def read_pictures(place: str | os.PathLike | None) -> list[np.ndarray]:
    """Return pictures, BGR, uint8, (H, W, 3).

    Args:
        place: A picture or a folder; None for drawn figures.

    Raises:
        ValueError: If there is none that can be read.
    """
    from .inputs import read_inputs

    if place is None:
        return draw_pictures()
    images = []
    for frame in read_inputs([os.fspath(place)]):
        if frame.image is None:
            warn(f'left out: {frame.source}: {frame.error}')
        else:
            images.append(frame.image)
    if not images:
        raise ValueError(f'there is no picture that can be read in {place}')
    return images


def make_inputs(
    model: BasePoseEstimator,
    images: list[np.ndarray],
    metadata: ModelMetadata,
) -> list[Tensor]:
    """Return normalised inputs of a file in batches of several sizes.

    A top-down model gets crops of its test pipeline, with a whole picture as
    each box. A bottom-up model of a fixed size gets pictures resized to that
    size; one of any size gets the first picture as resized by its pipeline,
    then all in two smaller sizes.

    Args:
        model: A model with ``cfg`` and ``dataset_meta``.
        images: Pictures, BGR, uint8, (H, W, 3).
        metadata: Metadata of the file.
    """
    batch, size = metadata.batch, metadata.input_size
    if isinstance(model, TopdownPoseEstimator):
        return make_batches(crop_boxes(model, images), batch)
    if size is not None:
        return make_batches(_resize(model, images, size), batch)
    pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
    whole = pipeline(dict(img=images[0], **model.dataset_meta))['inputs']
    if batch != 'dynamic':
        whole = whole.expand(int(batch), *whole.shape[-3:])
        return [_preprocess(model, list(whole))]
    smaller = [
        _resize(model, [images[i % len(images)] for i in range(number)], size)
        for number, size in ((2, (352, 256)), (5, (224, 320)))
    ]
    return [_preprocess(model, [whole]), *smaller]


def crop_boxes(model: BasePoseEstimator, images: list[np.ndarray]) -> Tensor:
    """Return the normalised crops of whole pictures, (P, 3, h, w)."""
    boxes = np.array(
        [(0, 0, i.shape[1], i.shape[0]) for i in images], np.float32
    )
    pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
    cropper = make_cropper(pipeline, model.dataset_meta)
    crops, _ = cropper(images, boxes, np.ones(len(images), np.float32))
    return _preprocess(model, crops)


def _resize(
    model: BasePoseEstimator, images: list[np.ndarray], size: tuple[int, int]
) -> Tensor:
    """Return normalised pictures of a size (w, h), (P, 3, h, w)."""
    resized = [cv2.resize(image, size) for image in images]
    return _preprocess(
        model, [torch.from_numpy(image).permute(2, 0, 1) for image in resized]
    )


def _preprocess(
    model: BasePoseEstimator, crops: Tensor | list[Tensor]
) -> Tensor:
    data = dict(inputs=crops, data_samples=[])
    return model.data_preprocessor(data)['inputs'].float()
