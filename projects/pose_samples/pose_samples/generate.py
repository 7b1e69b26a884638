"""Write whole datasets of drawn people and animals.

Each folder that is written holds a file ``pose_samples.json`` with the
parameters it was made with: a second call with equal parameters does nothing,
one with others refuses, and only files that were written here are replaced.
"""

import json
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from .detections import detect
from .formats import (
    FIRST_ID,
    MAX_VAL,
    SPLITS,
    ImageRecord,
    describe,
    write_json,
)
from .layouts import DIFFICULTIES, LAYOUTS, ImageSet, adapt
from .scene import Setting, draw_scene

MANIFEST = 'pose_samples.json'
_DRAWING = 2  # to be raised when equal parameters give other pictures
_JPEG_QUALITY = 90


@dataclass(frozen=True)
class Parameters:
    """Arguments that decide on the content; see ``generate``."""

    num_train: int
    num_val: int
    seed: int
    difficulty: str
    max_people: int | None
    image_size: tuple[int, int] | None
    drawing: int = _DRAWING

    def count(self, split: str) -> int:
        """Return the number of images of a split."""
        return self.num_train if split == 'train' else self.num_val


@dataclass(frozen=True)
class Result:
    """One folder of images with its annotations.

    Args:
        folder: Its path.
        layouts: The layouts asked for that lie in it.
        num_images: Number of images of both splits.
        is_new: False if it was complete already and nothing was written.
    """

    folder: Path
    layouts: tuple[str, ...]
    num_images: int
    is_new: bool


def generate(
    out_dir: str | Path,
    layouts: tuple[str, ...] = ('coco',),
    num_train: int = 1000,
    num_val: int = 100,
    seed: int = 0,
    *,
    difficulty: str = 'normal',
    max_people: int | None = None,
    image_size: tuple[int, int] | None = None,
    workers: int = 1,
    overwrite: bool = False,
    progress: bool = False,
) -> list[Result]:
    """Draw people or animals and write them as datasets.

    The same arguments give the same files, byte by byte, however many
    workers draw them. ``coco`` and ``coco-wholebody`` describe the same
    images; those of ``apt36k`` are clips of 15 frames.

    Args:
        out_dir: Below it, each dataset gets its usual folder, such as
            ``coco`` with ``annotations``, ``train2017`` and ``val2017``.
        layouts: Some of ``LAYOUTS``.
        num_train: Images to train with.
        num_val: Images to validate with; at most 100000.
        seed: Not negative.
        difficulty: ``easy`` for figures that stand or walk (people face the
            viewer, animals show their side) without cuts, occluders and most
            clutter; ``hard`` for twice as many of them as ``normal``.
        max_people: Most people or animals in one image; by default, up to
            3 for COCO, MPII and AP-10K, 2 for APT-36K, 4 for AIC and 8 for
            CrowdPose.
        image_size: (w, h) of all images; by default, sizes vary from
            192 x 256 to about 512 x 384.
        workers: Processes that draw.
        overwrite: Replace data of other parameters. Files that this function
            did not write are neither replaced nor removed.
        progress: Show a progress bar.

    Returns:
        One result per folder below ``out_dir``.

    Raises:
        ValueError: For an unknown layout or difficulty, or a number out of
            range.
        FileExistsError: If a folder holds something else.

    Example:
        >>> import tempfile
        >>> (result,) = generate(tempfile.mkdtemp(), ['coco'], 2, 1)
        >>> result.layouts, result.num_images, result.is_new
        (('coco',), 3, True)
    """
    if not isinstance(layouts, str):
        layouts = tuple(dict.fromkeys(layouts))
    if image_size is not None:
        image_size = tuple(int(v) for v in image_size)
    parameters = Parameters(
        num_train, num_val, seed, difficulty, max_people, image_size
    )
    _check(layouts, parameters, workers)
    groups: dict[str, list[str]] = {}
    for name in layouts:
        groups.setdefault(LAYOUTS[name].images.folder, []).append(name)
    # All folders are looked at before the first one is changed.
    plans = [
        _plan(Path(out_dir) / folder, names, parameters, overwrite)
        for folder, names in groups.items()
    ]
    for plan in plans:
        if not plan.is_complete:
            _write_folder(plan, parameters, workers, progress)
    return [
        Result(plan.folder, plan.layouts, num_train + num_val,
               not plan.is_complete)
        for plan in plans
    ]  # fmt: skip


def _check(
    layouts: tuple[str, ...], parameters: Parameters, workers: int
) -> None:
    if isinstance(layouts, str) or not layouts:
        raise ValueError(f'layouts must be a list of names, got {layouts!r}')
    unknown = [name for name in layouts if name not in LAYOUTS]
    if unknown:
        raise ValueError(
            f'unknown layout {unknown[0]!r}; known are: {", ".join(LAYOUTS)}'
        )
    values = dict(asdict(parameters), workers=workers)
    ranges = {
        'num_train': (0, None), 'num_val': (0, MAX_VAL), 'seed': (0, None),
        'workers': (1, None), 'max_people': (1, 100),
    }  # fmt: skip
    for name, (low, high) in ranges.items():
        value = values[name]
        if value is not None and value < low:
            raise ValueError(f'{name} must be at least {low}, got {value}')
        if None not in (value, high) and value > high:
            raise ValueError(f'{name} must be at most {high}, got {value}')
    if parameters.difficulty not in DIFFICULTIES:
        raise ValueError(
            f'difficulty must be one of {", ".join(DIFFICULTIES)}, '
            f'got {parameters.difficulty!r}'
        )
    size = parameters.image_size
    if size is not None and (len(size) != 2 or min(size) < 64):
        raise ValueError(
            f'image_size must be (w, h) of at least 64 pixels each, got {size}'
        )


@dataclass(frozen=True)
class _Plan:
    folder: Path
    layouts: tuple[str, ...]
    images: ImageSet
    is_complete: bool
    obsolete: tuple[Path, ...]  # files of an earlier call, to be removed


def _plan(
    folder: Path, names: list[str], parameters: Parameters, overwrite: bool
) -> _Plan:
    """Decide what to do with a folder; changes nothing."""
    images = LAYOUTS[names[0]].images
    files = _files(folder, names, parameters)
    old = _read_manifest(folder)
    old_files: set[Path] = set()
    is_same = True
    if old is None:
        if not overwrite and folder.exists() and any(folder.iterdir()):
            raise FileExistsError(
                f'{folder} holds files that pose_samples did not write; '
                'choose another folder, or add --overwrite to write beside '
                'them'
            )
    else:
        old_parameters, old_layouts, is_complete = old
        old_files = set(_files(folder, old_layouts, old_parameters))
        is_same = old_parameters == parameters
        if is_same and is_complete and set(names) <= set(old_layouts):
            if all(path.is_file() for path in files):
                return _Plan(folder, tuple(names), images, True, ())
        elif is_same:
            names = list(dict.fromkeys([*old_layouts, *names]))
            files = _files(folder, names, parameters)
        elif not overwrite:
            new = asdict(parameters)
            difference = ', '.join(
                f'{name} {value} instead of {new[name]}'
                for name, value in asdict(old_parameters).items()
                if value != new[name]
            )
            raise FileExistsError(
                f'{folder} holds data of other parameters ({difference}); '
                'choose another folder, or add --overwrite to replace them'
            )
    foreign = [p for p in files if p not in old_files and p.exists()]
    if foreign:
        raise FileExistsError(
            f'{foreign[0]} was not written by pose_samples and will not be '
            'replaced; choose another folder'
        )
    obsolete = () if is_same else tuple(sorted(old_files - set(files)))
    return _Plan(folder, tuple(names), images, False, obsolete)


def _files(
    folder: Path, names: list[str], parameters: Parameters
) -> list[Path]:
    """Return all files that a call writes, apart from the manifest."""
    if not names:
        return []
    images = LAYOUTS[names[0]].images
    files = [
        folder / path for name in names for path in LAYOUTS[name].all_files()
    ]
    for split in SPLITS:
        place = folder / images.image_dirs[split]
        files += [
            place / images.file_name(index, split, parameters.seed)
            for index in range(parameters.count(split))
        ]
    return files


def _read_manifest(folder: Path) -> tuple[Parameters, list[str], bool] | None:
    """Return (parameters, layouts, is_complete), or None without one."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        values = content['parameters']
        if values['image_size'] is not None:
            values['image_size'] = tuple(values['image_size'])
        names = [name for name in content['layouts'] if name in LAYOUTS]
        return Parameters(**values), names, content['complete']
    except (ValueError, KeyError, TypeError) as error:
        raise FileExistsError(
            f'{path} cannot be read ({error}); choose another folder'
        ) from error


def _write_manifest(
    plan: _Plan, parameters: Parameters, complete: bool
) -> None:
    content = {
        'about': 'Drawn by pose_samples.',
        'parameters': asdict(parameters),
        'layouts': plan.layouts,
        'complete': complete,
    }
    (plan.folder / MANIFEST).write_text(json.dumps(content, indent=2) + '\n')


def _write_folder(
    plan: _Plan, parameters: Parameters, workers: int, progress: bool
) -> None:
    plan.folder.mkdir(parents=True, exist_ok=True)
    for path in plan.obsolete:
        path.unlink(missing_ok=True)
    _write_manifest(plan, parameters, complete=False)
    seed = parameters.seed
    setting = adapt(
        plan.images.setting,
        parameters.difficulty,
        parameters.max_people,
        parameters.image_size,
    )
    for split in SPLITS:
        place = plan.folder / plan.images.image_dirs[split]
        place.mkdir(parents=True, exist_ok=True)
        draw = partial(_draw_image, plan.images, setting, split, seed, place)
        count = parameters.count(split)
        title = f'{plan.folder.name} {split}' if progress else None
        with _mapper(workers, count) as mapper:
            records = list(_report(mapper(draw, range(count)), count, title))
        for name in plan.layouts:
            layout = LAYOUTS[name]
            path = plan.folder / layout.files[split]
            layout.format.write(path, split, records)
            if layout.detections and split == 'val':
                boxes = detect(records, (seed, plan.images.number))
                write_json(plan.folder / layout.detections, boxes)
    _write_manifest(plan, parameters, complete=True)


def _draw_image(
    images: ImageSet,
    setting: Setting,
    split: str,
    seed: int,
    place: Path,
    index: int,
) -> ImageRecord:
    """Draw an image of a split and write it to a folder."""
    # All frames of a clip are drawn from the same numbers.
    clip, frame = divmod(index, images.clip)
    rng = np.random.default_rng(
        [seed, SPLITS.index(split), images.number, clip]
    )
    time = frame - (images.clip - 1) / 2
    image, labels, _ = draw_scene(rng, setting, time)
    name = images.file_name(index, split, seed)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    if not cv2.imwrite(str(place / name), image, quality):
        raise OSError(f'cannot write {place / name}')
    instances = [record for label in labels if (record := describe(label))]
    h, w = image.shape[:2]
    first = FIRST_ID[split]
    return ImageRecord(
        first + index, split, name, w, h, first + clip, frame, instances
    )


@contextmanager
def _mapper(workers: int, count: int) -> Iterator[Callable]:
    """Yield a map function that keeps the order; with processes or not."""
    threads = cv2.getNumThreads()
    # Small pictures: more threads cost more than they bring. A process whose
    # OpenCV has threads must not be forked, either: its children would wait
    # for them for ever.
    cv2.setNumThreads(1)
    try:
        if workers == 1 or count < 2:
            yield map
            return
        # Forked workers need not import everything again.
        methods = multiprocessing.get_all_start_methods()
        method = 'fork' if 'fork' in methods else None
        context = multiprocessing.get_context(method)
        with context.Pool(workers, cv2.setNumThreads, (1,)) as pool:
            size = max(min(count // workers, 16), 1)
            yield partial(pool.imap, chunksize=size)
    finally:
        cv2.setNumThreads(threads)


def _report(
    records: Iterable[ImageRecord], count: int, title: str | None
) -> Iterator[ImageRecord]:
    """Yield the records; on a terminal, count them in one line."""
    is_shown = title is not None and sys.stderr.isatty()
    for number, record in enumerate(records, start=1):
        yield record
        if is_shown and (number % 20 == 0 or number == count):
            end = '\n' if number == count else ''
            print(f'\r{title}: {number} of {count}', end=end, file=sys.stderr,
                  flush=True)  # fmt: skip
