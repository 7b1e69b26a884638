"""Large collections on a Ray cluster: three stages, scaled independently."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config
from torch import nn

from gtpt_mm.apis.detectors import Detector, make_detector
from gtpt_mm.apis.pose_inferencer import PoseInferencer
from gtpt_mm.apis.predictor import Predictor
from gtpt_mm.compat.messages import warn
from gtpt_mm.version import __version__

from .sources import LIST_SUFFIXES, PARQUET, Collection
from .stages import PICTURES, DetectStage, PoseStage, decode
from .table import describe_skeleton, make_schema

if TYPE_CHECKING:
    import ray.data

STAGES = ('decode', 'detect', 'pose')
#: CPUs of a decoder. Ray fuses a task with the next pool if both need the same
#: resources, and then they do not scale independently.
DECODER_CPUS = 0.99
#: Paths in one block of a dataset that is made from a folder or list.
PATHS = 64


def predict_dataset(
    data: 'ray.data.Dataset | str | os.PathLike | list[str]',
    model: str | os.PathLike | Config | nn.Module,
    detector: str | Path | Callable | Detector = 'auto',
    concurrency: int | Mapping[str, Any] = 1,
    num_gpus: float | Mapping[str, float] = 0,
    *,
    batch_size: int = 32,
    **options: Any,
) -> 'ray.data.Dataset':
    """Find the people in a large collection on a Ray cluster.

    Tasks decode the pictures; then they go through pools of workers of the
    detector and of the pose model. Each worker builds its model once. If a
    worker dies, Ray starts another and repeats its current work: each picture
    is in the result once. The order is not kept.

    If Ray is not running yet, Ray Data connects to the cluster of
    ``RAY_ADDRESS`` or starts one here; its usage statistics are off unless
    ``RAY_USAGE_STATS_ENABLED`` says otherwise.

    Args:
        data: A dataset of pictures (a column ``image``, ``bytes`` or
            ``content`` with the bytes of their files) or of their paths
            (``path``, ``source`` or ``url``); or an input of ``Collection``: a
            folder, a pattern, a list, Parquet files.
        model: See :class:`PoseInferencer`.
        detector: See :class:`PoseInferencer`.
        concurrency: Workers of the detector and of the pose model, each; or
            by stage, ``dict(decode=8, detect=2, pose=4)``. A pair is the
            minimum and the maximum. By default Ray chooses the number of
            decoders.
        num_gpus: GPUs for one worker of the pose model and one of the detector
            together, half of them each; or by stage, ``dict(detect=0.25,
            pose=1)``.
        batch_size: Largest number of pictures, and of people, in one pass.
        **options: Further arguments of :class:`PoseInferencer`.

    Returns:
        A dataset, computed when it is read or written, with the columns of
        the Parquet files of ``gtpt-mm predict --shard``. ``read_predictions``
        reads the files of its ``write_parquet``.

    Raises:
        ImportError: If Ray is not installed.
        ValueError: If an argument is wrong, or the model cannot be built.

    Example:
        >>> found = predict_dataset(
        ...     's3_list.txt', 'vitpose-b', 'rtmdet', concurrency=4, num_gpus=1
        ... )  # doctest: +SKIP
        >>> found.write_parquet('results/')  # doctest: +SKIP
    """
    _require_ray()
    inferencer = PoseInferencer(
        model, detector, batch_size=batch_size, **options
    )
    needs_boxes, skeleton = _look_at(model, options)
    workers = _by_stage(concurrency, 'concurrency', needs_boxes)
    gpus = _by_stage(num_gpus, 'num_gpus', needs_boxes)
    if not isinstance(num_gpus, Mapping) and needs_boxes:
        gpus = {name: value / 2 for name, value in gpus.items()}
    facts = dict(
        version=__version__,
        settings=inferencer.settings,
        skeleton=describe_skeleton(skeleton),
    )
    found = _read(data).map_batches(
        decode,
        batch_size=PICTURES,
        batch_format='pyarrow',
        num_cpus=DECODER_CPUS,
        **_tasks(workers.get('decode')),
    )
    if needs_boxes:
        found = found.map_batches(
            DetectStage,
            fn_constructor_args=[_make_detector(inferencer, detector)],
            num_gpus=gpus['detect'],
            **_pool(workers['detect'], batch_size),
        )
    _check_cpus(workers)
    return found.map_batches(
        PoseStage,
        fn_constructor_args=[inferencer, make_schema(facts)],
        num_gpus=gpus['pose'],
        **_pool(workers['pose'], batch_size),
    )


def _require_ray() -> None:
    """Raise if Ray is not installed; leave its usage statistics off."""
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'predict_dataset requires Ray Data, which is not installed: pip '
            'install "gtpt_mm[ray]"'
        ) from error


def _look_at(model: Any, options: Mapping[str, Any]) -> tuple[bool, Any]:
    """Return whether a model needs boxes, and its skeleton.

    It is built here, on the CPU, so that its errors are raised before any
    worker starts.
    """
    probe = Predictor(
        model,
        options.get('weights'),
        device='cpu',
        dataset=options.get('dataset'),
    )
    return probe.needs_boxes, probe.skeleton


def _by_stage(value: Any, name: str, needs_boxes: bool) -> dict[str, Any]:
    """Return a value for each stage.

    Raises:
        ValueError: If a stage is unknown, or a number is too small.
    """
    stages = STAGES if needs_boxes else ('decode', 'pose')
    least = 1 if name == 'concurrency' else 0
    default = least
    if not isinstance(value, Mapping):
        value = dict.fromkeys(stages[1:], value)
    if unknown := set(value) - set(stages):
        raise ValueError(
            f'{name} has {", ".join(map(repr, sorted(unknown)))}; the stages '
            f'are {", ".join(stages)}'
        )
    for stage, number in value.items():
        numbers = number if isinstance(number, tuple) else (number,)
        if any(isinstance(n, str) or n < least for n in numbers):
            raise ValueError(
                f'{name} of {stage} must be at least {least}, got {number!r}'
            )
    return {**dict.fromkeys(stages[1:], default), **value}


def _make_detector(inferencer: PoseInferencer, detector: Any) -> Detector:
    """Return the detector of a worker, on its own GPU if it has one."""
    return make_detector(
        detector, device='auto', threshold=inferencer.threshold
    )


def _tasks(workers: Any) -> dict[str, Any]:
    """Return the arguments of ``map_batches`` for tasks; None: any number."""
    from ray.data import TaskPoolStrategy

    most = workers[1] if isinstance(workers, tuple) else workers
    return dict(compute=TaskPoolStrategy(most)) if most else {}


def _pool(workers: Any, batch_size: int) -> dict[str, Any]:
    """Return the arguments of ``map_batches`` for a pool of workers."""
    from ray.data import ActorPoolStrategy

    least, most = workers if isinstance(workers, tuple) else (workers,) * 2
    return dict(
        compute=ActorPoolStrategy(min_size=least, max_size=most),
        batch_size=batch_size,
        batch_format='pyarrow',
    )


def _read(data: Any) -> 'ray.data.Dataset':
    """Return a dataset of pictures or of their paths."""
    import pyarrow as pa
    import ray.data

    if isinstance(data, ray.data.Dataset):
        return data
    if isinstance(data, str | os.PathLike) and _is_parquet(data):
        return ray.data.read_parquet(os.fspath(data))
    collection = Collection(data)
    names = map(os.fsencode, collection.names(0, len(collection)))
    table = pa.table(dict(path=pa.array(list(names), pa.binary())))
    return ray.data.from_arrow(
        [table.slice(i, PATHS) for i in range(0, len(table), PATHS)]
    )


def _is_parquet(data: str | os.PathLike) -> bool:
    """Return whether a path is a Parquet file, or a folder of only those."""
    path = Path(data)
    if path.suffix.lower() == PARQUET:
        return True
    if not path.is_dir() or path.suffix.lower() in LIST_SUFFIXES:
        return False
    files = [p for p in path.iterdir() if not p.name.startswith('.')]
    return bool(files) and all(p.suffix.lower() == PARQUET for p in files)


def _check_cpus(workers: Mapping[str, Any]) -> None:
    """Warn if the workers leave no CPU for reading and decoding."""
    import ray

    if not ray.is_initialized():
        return
    num = sum(
        workers[name][0] if isinstance(workers[name], tuple) else workers[name]
        for name in ('detect', 'pose')
        if name in workers
    )
    there = ray.cluster_resources().get('CPU', 0)
    if num + 2 > there:
        warn(
            f'{num} workers take one CPU each, reading and decoding another '
            f'two, but the Ray cluster has {there:g}: it may stand still'
        )
