"""Time of loading and augmenting a sample, step by step."""

import io
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform, Compose, RandomChoice
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, TRANSFORMS

from gtpt_mm.datasets.transforms import (
    GroupPoseCrop,
    GroupPoseFlip,
    GroupPoseResize,
)

from .report import _markdown
from .selection import ModelChoice, find_config

#: Config of mmpose whose pipeline top-down ones are compared with.
STOCK = 'td-hm_res50_8xb64-210e_coco-256x192'
#: Suffix for the name of a pipeline of slow steps.
SLOW = ', by mmcv and mmpose'
#: Time by step.
Times = dict[str, float]
CLOCKS: dict[str, Callable[[], float]] = dict(
    wall=time.perf_counter, cpu=time.process_time
)


def time_loaders(
    choices: Sequence[ModelChoice],
    annotations: Path,
    clock: str = 'wall',
    repeats: int = 3,
) -> dict[str, dict[str, float]]:
    """Return ms per sample of training pipelines, in total and by step.

    All pipelines use the same pictures and seeds, in turn. Top-down ones are
    compared with that of mmpose's :data:`STOCK`. Those of Group Pose, which
    mmpose lacks, are compared with the same steps made of operators of mmcv
    and mmpose, see :func:`slow_steps`.

    Args:
        choices: Configs to measure.
        annotations: A file in COCO's format, beside the pictures or a folder
            ``images`` with them.
        clock: ``'wall'`` or ``'cpu'``.
        repeats: Timed rounds after a warm-up round; medians are returned.

    Raises:
        ValueError: If the file has no pictures, a config has no pipeline for
            it, or the clock is unknown.
    """
    if clock not in CLOCKS:
        raise ValueError(f'clock must be one of {list(CLOCKS)}, got {clock!r}')
    loaders = {}
    for choice in choices:
        cfg = Config.fromfile(choice.config)
        loader = Loader(cfg, annotations, choice.label)
        loaders[choice.label] = loader
        if loader.mode == 'topdown' and STOCK not in loaders:
            cfg = Config.fromfile(find_config(STOCK))
            loaders[STOCK] = Loader(cfg, annotations, STOCK)
        elif loader.mode == 'bottomup':
            slow = Loader(cfg, annotations, choice.label, slow=True)
            loaders[choice.label + SLOW] = slow
    rounds: dict[str, list[Times]] = {label: [] for label in loaders}
    with _one_opencv_thread():
        for seed in range(repeats + 1):
            for label, loader in loaders.items():
                rounds[label].append(loader.run(seed, CLOCKS[clock]))
    return {
        label: {
            step: median(counts.get(step, 0.0) for counts in timed[1:])
            for step in _steps(timed)
        }
        for label, timed in rounds.items()
    }


def format_loaders(loaders: dict[str, dict[str, float]]) -> str:
    """Return :func:`time_loaders`' result as Markdown, slowest step first."""
    lines = []
    for label, steps in loaders.items():
        total = steps['total']
        parts = sorted(steps.items(), key=lambda item: -item[1])
        text = ', '.join(
            f'{name} {ms:.2f}' for name, ms in parts if name != 'total'
        )
        lines.append([label, text, f'{total:.2f}'])
    return _markdown(('pipeline', 'ms by step', 'ms a sample'), lines, 2)


class Loader:
    """The training pipeline of a config, over given pictures.

    Args:
        cfg: The config.
        annotations: See :func:`time_loaders`.
        label: Its name in errors.
        slow: Whether the steps are those of :func:`slow_steps`.
    """

    def __init__(
        self, cfg: Config, annotations: Path, label: str, slow: bool = False
    ) -> None:
        init_default_scope('mmpose')
        dataset = cfg.get('train_dataloader', {}).get('dataset')
        if not isinstance(dataset, ConfigDict) or 'pipeline' not in dataset:
            raise ValueError(
                f'{label} has no train_dataloader.dataset.pipeline of one '
                'dataset, which --loader times'
            )
        self.mode = dataset.get('data_mode', 'topdown')
        build = slow_steps if slow else _build
        self.steps = [TimedStep(step) for step in build(dataset['pipeline'])]
        self.dataset = _build_dataset(dataset, annotations)

    def run(self, seed: int, clock: Callable[[], float]) -> Times:
        """Return ms per sample of one pass over the pictures."""
        np.random.seed(seed)
        times: Times = defaultdict(float)
        for step in self.steps:
            step.watch(times, clock)
        start = clock()
        for index in range(len(self.dataset)):
            sample: Any = self.dataset[index]
            for step in self.steps:
                if sample is not None:
                    sample = step(sample)
        times['total'] = clock() - start
        number = len(self.dataset)
        return {step: 1000 * s / number for step, s in times.items()}


class TimedStep:
    """A step that adds its time to a counter, by its name.

    The time of a random choice is that of the chosen steps.

    Args:
        step: The step.
    """

    def __init__(self, step: BaseTransform) -> None:
        self.step = step
        self.name = type(step).__name__
        self.inner: list[TimedStep] = []
        if isinstance(step, RandomChoice):
            for branch in step.transforms:
                branch.transforms = [TimedStep(s) for s in branch.transforms]
                self.inner += branch.transforms

    def watch(self, times: Times, clock: Callable[[], float]) -> None:
        """Set where times are added."""
        self.times, self.clock = times, clock
        for step in self.inner:
            step.watch(times, clock)

    def __call__(self, sample: dict) -> dict | None:
        """Return the sample after the step."""
        if self.inner:
            return self.step(sample)
        start = self.clock()
        sample = self.step(sample)
        self.times[self.name] += self.clock() - start
        return sample


def _build(pipeline: Sequence[dict]) -> list[BaseTransform]:
    return [TRANSFORMS.build(step) for step in pipeline]


class SlowResize(GroupPoseResize):
    """``GroupPoseResize`` by mmcv and Pillow, of all pixels."""

    @staticmethod
    def resize_image(
        image: np.ndarray,
        size: tuple[int, int],
        region: tuple[int, int, int, int] | None = None,
    ) -> np.ndarray:
        """Return the new image."""
        return mmcv.imresize(image, size, backend='pillow')


class SlowFlip(GroupPoseFlip):
    """``GroupPoseFlip`` whose image is mmpose's view."""

    mirror = staticmethod(mmcv.imflip)


def slow_steps(pipeline: Sequence[dict]) -> list[BaseTransform]:
    """Return the slow versions of the steps of a Group Pose pipeline."""
    steps: list[BaseTransform] = []
    for step in pipeline:
        options = dict(step)
        kind = options.pop('type')
        if kind == 'GroupPoseFlip':
            steps.append(SlowFlip(**options))
        elif kind == 'GroupPoseResize':
            steps.append(SlowResize(**options))
        elif kind == 'GroupPoseResizedCrop':
            long_side = options.pop('max_long_side', None)
            steps.append(SlowResize(options.pop('short_sides'), long_side))
            steps.append(GroupPoseCrop(**options))
        elif kind == 'RandomChoice':
            choice = TRANSFORMS.build(step)
            choice.transforms = [
                Compose(slow_steps(branch)) for branch in step['transforms']
            ]
            steps.append(choice)
        else:
            if kind == 'PackImage':
                step = dict(step, type='PackPoseInputs')
            steps.append(TRANSFORMS.build(step))
    return steps


def _build_dataset(dataset: ConfigDict, annotations: Path) -> Any:
    """Return the dataset of a config over other pictures, without steps."""
    options = dict(
        type=dataset.type,
        ann_file=str(annotations.resolve()),
        data_root='',
        data_prefix=dict(img=str(_find_images(annotations))),
        data_mode=dataset.get('data_mode', 'topdown'),
        pipeline=[],
        test_mode=False,
    )
    with redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        built = DATASETS.build(options)
        number = len(built)
    if not number:
        raise ValueError(f'{annotations} has no annotated instances')
    return built


def _find_images(annotations: Path) -> Path:
    """Return the folder with the pictures of a file of annotations."""
    content = json.loads(annotations.read_text(encoding='utf-8'))
    names = [image['file_name'] for image in content.get('images', ())]
    folder = annotations.resolve().parent
    for path in (folder, folder / 'images', folder.parent):
        if names and (path / names[0]).is_file():
            return path
    raise ValueError(
        f'the pictures of {annotations} are neither beside it nor in a '
        f'folder images: {names[0] if names else "it names none"}'
    )


def _steps(timed: Sequence[Times]) -> list[str]:
    return sorted({step for counts in timed for step in counts})


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Let OpenCV have one thread, as workers of a data loader do."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
