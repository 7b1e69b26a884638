"""Metadata of an exported file, enough to use it without gtpt_mm.

ONNX files have it in ``metadata_props``, OpenVINO's in ``rt_info`` under
``gtpt_mm``, those of ``torch.export`` in the extra file ``gtpt_mm.json``,
TensorRT's in a JSON file beside it. In the first two, each field is a JSON
string under its own name.
"""

import dataclasses
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmpose.models.pose_estimators.base import BasePoseEstimator

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.version import __version__

#: Name of the extra file of ``torch.export``, and of rt_info of OpenVINO.
NAME = 'gtpt_mm'
#: Layout of the fields; a reader refuses a later one.
FORMAT = 1


@dataclasses.dataclass
class ModelMetadata:
    """Inputs and outputs of a file, and its model.

    Attributes:
        model: Name of the model.
        input_size: Size (w, h) of the images; None: any.
        mean: Mean of each channel of the pixels 0..255, in the order of
            ``color``.
        std: Standard deviation of each; images are (pixels - mean) / std.
        color: ``'RGB'`` or ``'BGR'``, the order of the channels.
        padding: Factor by which a box grows before it is cropped; None: the
            model takes whole images.
        use_udp: Whether crops reach from center to center of the corner
            pixels, as UDP defines them.
        keypoints: Names.
        skeleton: Pairs of indices that are joined.
        swap: Index of the mirror image of each keypoint.
        codec: Class and settings of the codec that decodes.
        decode: Whether the outputs are keypoints in pixels of the input, and
            scores.
        flip_test: Whether the file averages with the mirror image.
        outputs: Names of the outputs, in their order.
        precision: Precision of the weights: ``'fp32'``, ``'fp16'`` or
            ``'int8'``.
        batch: ``'dynamic'``, or the number of images.
        format: Layout of these fields.
        gtpt_mm: Version that wrote them.
    """

    model: str = ''
    input_size: tuple[int, int] | None = None
    mean: list[float] = dataclasses.field(default_factory=list)
    std: list[float] = dataclasses.field(default_factory=list)
    color: str = 'RGB'
    padding: float | None = None
    use_udp: bool = False
    keypoints: list[str] = dataclasses.field(default_factory=list)
    skeleton: list[list[int]] = dataclasses.field(default_factory=list)
    swap: list[int] = dataclasses.field(default_factory=list)
    codec: dict[str, Any] = dataclasses.field(default_factory=dict)
    decode: bool = False
    flip_test: bool = False
    outputs: list[str] = dataclasses.field(default_factory=list)
    precision: str = 'fp32'
    batch: str | int = 'dynamic'
    format: int = FORMAT
    gtpt_mm: str = __version__

    def to_texts(self) -> dict[str, str]:
        """Return each field as a JSON string."""
        return {k: json.dumps(v) for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> 'ModelMetadata':
        """Return the fields in JSON strings; other entries are ignored.

        Raises:
            ValueError: If they are missing, or have a later layout.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        found = {n: json.loads(texts[n]) for n in names if n in texts}
        if not {'format', 'outputs'} <= set(found):
            raise ValueError(
                'the file has no metadata of gtpt_mm; write it by '
                '`gtpt-mm export`'
            )
        if found['format'] > FORMAT:
            raise ValueError(
                f'the file has metadata of layout {found["format"]}, this '
                f'gtpt_mm ({__version__}) reads {FORMAT}: update gtpt_mm'
            )
        if found.get('input_size'):
            found['input_size'] = tuple(found['input_size'])
        return cls(**found)


def describe_model(model: BasePoseEstimator) -> ModelMetadata:
    """Return the fields that depend only on the model.

    Args:
        model: Estimator; ``cfg`` and ``dataset_meta``, as ``load_model`` gives
            them, are read if they are there.
    """
    cfg = getattr(model, 'cfg', None)
    metainfo = getattr(model, 'dataset_meta', None) or model.metainfo or {}
    codec = getattr(model.head, 'decoder', None)
    codec = codec or getattr(model.head, 'codec', None)
    preprocessor = model.data_preprocessor
    size = getattr(codec, 'input_size', None)
    steps = _find_steps(cfg)
    affine = steps.get('TopdownAffine')
    box = steps.get('GetBBoxCenterScale')
    names = metainfo.get('keypoint_id2name', {})
    return ModelMetadata(
        model=_find_name(model),
        input_size=None if size is None else (int(size[0]), int(size[1])),
        mean=_read_pixels(getattr(preprocessor, 'mean', [])),
        std=_read_pixels(getattr(preprocessor, 'std', [])),
        color='RGB'
        if getattr(preprocessor, '_channel_conversion', False)
        else 'BGR',
        padding=None if box is None else float(box.get('padding', 1.25)),
        use_udp=bool(affine and affine.get('use_udp', False)),
        keypoints=[names[i] for i in sorted(names)],
        skeleton=plain(metainfo.get('skeleton_links', [])),
        swap=plain(metainfo.get('flip_indices', [])),
        codec=describe_codec(codec),
    )


def _read_pixels(values: Any) -> list[float]:
    """Return float32 values of pixels as they were in the config."""
    return [round(float(value), 4) for value in np.ravel(values)]


def _find_name(model: BasePoseEstimator) -> str:
    """Return the name of a model's config, or of its backbone."""
    filename = getattr(getattr(model, 'cfg', None), 'filename', None)
    if not filename:
        return type(model.backbone).__name__
    path = Path(filename)
    # In a packed folder all configs have one name.
    return path.parent.name if path.name == 'config.py' else path.stem


def _find_steps(cfg: Any) -> dict[str, Any]:
    """Return the steps of a config's test pipeline by their type."""
    loader = (cfg or {}).get('test_dataloader') or {}
    pipeline = (loader.get('dataset') or {}).get('pipeline') or []
    return {str(step['type']): step for step in pipeline}


def describe_codec(codec: Any) -> dict[str, Any]:
    """Return class and settings of a codec; {} for None."""
    if codec is None:
        return {}
    names = inspect.signature(type(codec).__init__).parameters
    settings = {n: getattr(codec, n) for n in names if hasattr(codec, n)}
    if hasattr(codec, 'peak'):
        settings['peak'] = codec.peak
    return plain(dict(type=type(codec).__name__, **settings))


def plain(value: Any) -> Any:
    """Return a value of JSON's types."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, 'tolist'):  # arrays, tensors and their numbers
        return value.tolist()
    return value


# --------------------------------------------------------- reading and writing


def write_json(metadata: ModelMetadata, file: Path) -> Path:
    """Write the fields beside a file; return the path."""
    path = Path(f'{file}.json')
    with atomic_write(path) as part:
        fields = dataclasses.asdict(metadata)
        part.write_text(json.dumps(fields, indent=2) + '\n', encoding='utf-8')
    return path


def read_metadata(file: str | Path) -> ModelMetadata:
    """Return the metadata of an exported file.

    Args:
        file: A file that ``export_model`` wrote: .onnx, .xml, .pt2, or any
            other with a JSON beside it.

    Raises:
        ValueError: If it has none.
        ImportError: If the package that reads it is missing.
    """
    readers = {'.onnx': _read_onnx, '.xml': _read_openvino, '.pt2': _read_pt2}
    reader = readers.get(Path(file).suffix, _read_json)
    return ModelMetadata.from_texts(reader(Path(file)))


def _read_onnx(file: Path) -> dict[str, str]:
    import onnx

    model = onnx.load(file, load_external_data=False)
    return {entry.key: entry.value for entry in model.metadata_props}


def _read_openvino(file: Path) -> dict[str, str]:
    import openvino

    model = openvino.Core().read_model(file)
    names = [field.name for field in dataclasses.fields(ModelMetadata)]
    return {
        name: str(model.get_rt_info([NAME, name]).value)
        for name in names
        if model.has_rt_info([NAME, name])
    }


def _read_pt2(file: Path) -> dict[str, str]:
    import torch

    extra = {f'{NAME}.json': ''}
    torch.export.load(file, extra_files=extra)
    fields = json.loads(extra[f'{NAME}.json'] or '{}')
    return {name: json.dumps(value) for name, value in fields.items()}


def _read_json(file: Path) -> dict[str, str]:
    path = Path(f'{file}.json')
    if not path.is_file():
        return {}
    fields = json.loads(path.read_text(encoding='utf-8'))
    return {name: json.dumps(value) for name, value in fields.items()}
