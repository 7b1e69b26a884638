"""Write whole datasets of drawn people and animals.

Each folder gets a file ``pose_samples.json`` with the parameters of its data.
A second call with equal parameters does nothing, one with others raises an
error, and only files that this module wrote are replaced.
"""

import json
import multiprocessing
import signal
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
    write_json,
    write_whole,
)
from .layouts import DIFFICULTIES, LAYOUTS, ImageSet, adapt
from .scene import draw_scene

MANIFEST = 'pose_samples.json'
_DRAWING = 2  # increase when equal parameters give other pictures
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90)


@dataclass(frozen=True)
class Parameters:
    """Arguments that determine the content; see ``generate``."""

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

    def check(self) -> None:
        """Raise a ValueError for a value out of range."""
        if self.difficulty not in DIFFICULTIES:
            raise ValueError(
                f'difficulty must be one of {", ".join(DIFFICULTIES)}, '
                f'got {self.difficulty!r}'
            )
        _check_range('num_train', self.num_train, 0)
        _check_range('num_val', self.num_val, 0, MAX_VAL)
        _check_range('seed', self.seed, 0)
        if self.max_people is not None:
            _check_range('max_people', self.max_people, 1, 100)
        size = self.image_size
        for value in size or ():
            _check_whole('image_size', value)
        if size is not None and (len(size) != 2 or min(size) < 64):
            raise ValueError(
                'image_size must be (w, h) of at least 64 pixels each, '
                f'got {size}'
            )


def _check_range(
    name: str, value: int, low: int, high: float = float('inf')
) -> None:
    _check_whole(name, value)
    if value < low:
        raise ValueError(f'{name} must be at least {low}, got {value}')
    if value > high:
        raise ValueError(f'{name} must be at most {high}, got {value}')


def _check_whole(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f'{name} must be a whole number, got {value!r}')


@dataclass(frozen=True)
class Result:
    """One folder of images with its annotations."""

    folder: Path
    layouts: tuple[str, ...]  # requested layouts in this folder
    num_images: int  # of both splits
    is_new: bool  # False if it was complete and nothing was written


def generate(
    out_dir: str | Path,
    layouts: Iterable[str] = ('coco',),
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
        progress: Count the images on a terminal.

    Returns:
        One result per folder below ``out_dir``.

    Raises:
        ValueError: For an unknown layout or difficulty, or a number out of
            range.
        FileExistsError: If a folder holds something else.
        OSError: If a file cannot be written. The folder stays incomplete; the
            same call continues later.

    Example:
        >>> import tempfile
        >>> (result,) = generate(tempfile.mkdtemp(), ['coco'], 2, 1)
        >>> result.layouts, result.num_images, result.is_new
        (('coco',), 3, True)
    """
    if isinstance(layouts, str) or not layouts:
        raise ValueError(f'layouts must be a list of names, got {layouts!r}')
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(layouts):
        if name not in LAYOUTS:
            known = ', '.join(LAYOUTS)
            raise ValueError(f'unknown layout {name!r}; known are: {known}')
        groups.setdefault(LAYOUTS[name].images.folder, []).append(name)
    if image_size is not None:
        # Of numpy, too; anything else is refused below.
        image_size = tuple(
            int(v) if isinstance(v, np.integer) else v for v in image_size
        )
    parameters = Parameters(
        num_train, num_val, seed, difficulty, max_people, image_size
    )
    parameters.check()
    _check_range('workers', workers, 1)
    # Check all folders before changing the first one.
    folders = [
        _Folder(Path(out_dir) / folder, names, parameters, overwrite)
        for folder, names in groups.items()
    ]
    for folder in folders:
        if not folder.is_complete:
            folder.write(workers, progress)
    return [
        Result(f.path, tuple(f.names), num_train + num_val, not f.is_complete)
        for f in folders
    ]


class _Folder:
    """A folder of images, and whether to write, replace or keep it.

    Raises:
        FileExistsError: If the folder holds something else.
    """

    def __init__(
        self,
        path: Path,
        names: list[str],
        parameters: Parameters,
        overwrite: bool,
    ) -> None:
        self.path, self.names, self.parameters = path, names, parameters
        self.images: ImageSet = LAYOUTS[names[0]].images
        self.is_complete = False
        self.obsolete: set[Path] = set()  # of an earlier call
        files = self._files(names, parameters)
        written: set[Path] = set()
        old = self._read_manifest()
        if old is None and not overwrite and path.exists():
            if any(path.iterdir()):
                raise FileExistsError(
                    f'{path} holds files that pose_samples did not write; '
                    'choose another folder, or add --overwrite to write '
                    'beside them'
                )
        elif old is not None:
            old_parameters, old_names, was_complete = old
            written = set(self._files(old_names, old_parameters))
            if old_parameters != parameters:
                if not overwrite:
                    self._refuse(old_parameters)
                self.obsolete = written - set(files)
            elif was_complete and set(names) <= set(old_names):
                self.is_complete = all(file.is_file() for file in files)
            else:
                self.names = list(dict.fromkeys([*old_names, *names]))
                files = self._files(self.names, parameters)
        foreign = [p for p in files if p not in written and p.exists()]
        if foreign:
            raise FileExistsError(
                f'{foreign[0]} was not written by pose_samples and will not '
                'be replaced; choose another folder'
            )

    def _refuse(self, old: Parameters) -> None:
        new = asdict(self.parameters)
        difference = ', '.join(
            f'{name} {value} instead of {new[name]}'
            for name, value in asdict(old).items()
            if value != new[name]
        )
        raise FileExistsError(
            f'{self.path} holds data of other parameters ({difference}); '
            'choose another folder, or add --overwrite to replace them'
        )

    def _files(self, names: list[str], parameters: Parameters) -> list[Path]:
        """Return all files that a call writes, except the manifest."""
        files = [file for name in names for file in LAYOUTS[name].all_files()]
        for split in SPLITS:
            files += [
                f'{self.images.image_dirs[split]}/'
                f'{self.images.file_name(index, split, parameters.seed)}'
                for index in range(parameters.count(split))
            ]
        return [self.path / file for file in files]

    def _read_manifest(self) -> tuple[Parameters, list[str], bool] | None:
        """Return (parameters, layouts, is_complete), or None without one."""
        path = self.path / MANIFEST
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text())
            values = content['parameters']
            if values['image_size'] is not None:
                values['image_size'] = tuple(values['image_size'])
            names = [name for name in content['layouts'] if name in LAYOUTS]
            parameters = Parameters(**values)
            parameters.check()
            return parameters, names, bool(content['complete'])
        except (ValueError, KeyError, TypeError) as error:
            raise FileExistsError(
                f'{path} cannot be read ({error}); choose another folder'
            ) from error

    def _write_manifest(self, complete: bool) -> None:
        content = {
            'about': 'Drawn by pose_samples.',
            'parameters': asdict(self.parameters),
            'layouts': self.names,
            'complete': complete,
        }
        text = json.dumps(content, indent=2)
        write_whole(self.path / MANIFEST, f'{text}\n'.encode())

    def write(self, workers: int, progress: bool) -> None:
        """Draw all images and write all files."""
        self.path.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.obsolete):
            path.unlink(missing_ok=True)
        self._write_manifest(complete=False)
        values = self.parameters
        for split in SPLITS:
            place = self.path / self.images.image_dirs[split]
            place.mkdir(parents=True, exist_ok=True)
            draw, count = partial(self._draw, split), values.count(split)
            title = f'{self.path.name} {split}' if progress else None
            with _mapper(workers, count) as mapper:
                drawn = mapper(draw, range(count))
                records = list(_report(drawn, count, title))
            for name in self.names:
                layout = LAYOUTS[name]
                path = self.path / layout.files[split]
                layout.format.write(path, split, records)
                if layout.detections and split == 'val':
                    boxes = detect(records, (values.seed, self.images.number))
                    write_json(self.path / layout.detections, boxes)
        self._write_manifest(complete=True)

    def _draw(self, split: str, index: int) -> ImageRecord:
        """Draw an image of a split and write it."""
        values, images = self.parameters, self.images
        setting = adapt(
            images.setting, values.difficulty, values.max_people,
            values.image_size,
        )  # fmt: skip
        # All frames of a clip use the same random numbers.
        clip, frame = divmod(index, images.clip)
        seed = [values.seed, SPLITS.index(split), images.number, clip]
        rng, time = np.random.default_rng(seed), frame - (images.clip - 1) / 2
        image, labels, _ = draw_scene(rng, setting, time)
        name = images.file_name(index, split, values.seed)
        path = self.path / images.image_dirs[split] / name
        write_whole(path, cv2.imencode('.jpg', image, _JPEG)[1].tobytes())
        (h, w), first = image.shape[:2], FIRST_ID[split]
        ids = first + index, first + clip, frame
        return ImageRecord(*ids, split, name, w, h, labels)


def _start_worker() -> None:
    """Prepare a process that draws; the first process answers Ctrl-C."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _mapper(workers: int, count: int) -> Iterator[Callable]:
    """Yield a map function that keeps the order; with processes or not."""
    threads = cv2.getNumThreads()
    # For small pictures, more threads cost more than they gain. Nor must a
    # process be forked while its OpenCV has threads: its children would wait
    # for them forever.
    cv2.setNumThreads(1)
    try:
        if workers == 1 or count < 2:
            yield map
            return
        # Forked workers need not import everything again.
        methods = multiprocessing.get_all_start_methods()
        method = 'fork' if 'fork' in methods else None
        context = multiprocessing.get_context(method)
        with context.Pool(workers, _start_worker) as pool:
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
