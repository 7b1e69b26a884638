"""Mend what mmpose's inferencers draw and show.

Broken: in mmpose (<= 1.3.2) one call with ``skeleton_style='openpose'``
leaves the inferencer unable to draw without it. ``show=True`` without a
display ends the process inside Qt. The 3D picture of ``num_instances``
fails with fewer people.

Here: the style is set at each call, and an unknown one raises at once; a
missing display is a Python error; the 3D picture has ``num_instances``
panels, white where nobody is left, so that all frames are of one size.

Can go: when mmpose does the same.
"""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

STYLES = ('mmpose', 'openpose')


def missing() -> str:
    """Say what is missing."""
    return 'the inferencers of mmpose keep the skeleton style of a call'


def repair() -> None:
    """Set styles, look for a display, fill missing panels."""
    from mmpose.apis.inferencers import Pose2DInferencer
    from mmpose.visualization import Pose3dLocalVisualizer
    from mmpose.visualization.opencv_backend_visualizer import (
        OpencvBackendVisualizer,
    )

    Pose2DInferencer.update_model_visualizer_settings = set_style(
        Pose2DInferencer.update_model_visualizer_settings
    )
    OpencvBackendVisualizer.show = need_display(OpencvBackendVisualizer.show)
    Pose3dLocalVisualizer._draw_3d_data_samples = fill_panels(
        Pose3dLocalVisualizer._draw_3d_data_samples
    )


def set_style(update: Callable) -> Callable:
    """Return the update of settings that sets any style."""

    @functools.wraps(update)
    def settings(
        self: Any, *args: Any, skeleton_style: str = 'mmpose', **options: Any
    ) -> None:
        update(self, *args, skeleton_style='mmpose', **options)
        self.visualizer.set_dataset_meta(
            self.model.dataset_meta, skeleton_style
        )

    return settings


def check_style(value: Any) -> None:
    """Raise if a skeleton style is unknown."""
    if value not in STYLES:
        raise ValueError(
            f'skeleton_style={value!r}: there are {" and ".join(STYLES)}'
        )


def need_display(show: Callable) -> Callable:
    """Return ``show`` that raises where windows cannot be opened."""

    @functools.wraps(show)
    def checked(self: Any, *args: Any, **options: Any) -> Any:
        if self.backend == 'opencv':
            check_display()
        return show(self, *args, **options)

    return checked


def check_display() -> None:
    """Raise if OpenCV cannot open a window.

    Raises:
        RuntimeError: If there is no display; Qt would abort the process.
    """
    names = ('DISPLAY', 'WAYLAND_DISPLAY', 'QT_QPA_PLATFORM')
    if sys.platform.startswith('linux') and not any(
        os.environ.get(name) for name in names
    ):
        raise RuntimeError(
            'there is no display to show pictures on (DISPLAY is not set): '
            'leave out show and write them, with vis_out_dir or out_file'
        )


def fill_panels(draw: Callable) -> Callable:
    """Return the 3D drawing that fills the panels of missing people."""

    @functools.wraps(draw)
    def filled(
        self: Any,
        image: np.ndarray,
        pose_samples: Any,
        *args: Any,
        num_instances: int = -1,
        **options: Any,
    ) -> np.ndarray:
        people = pose_samples.get('pred_instances')
        num_people = len(people.keypoints) if people is not None else 0
        size = max(image.shape)
        white = np.full((size, size, 3), 255, np.uint8)
        if not num_people or num_instances == 0:
            return np.tile(white, (1, max(1, num_instances), 1))
        if num_instances < 0:
            num_instances = num_people
        number = min(num_people, num_instances)
        picture = draw(
            self,
            image,
            pose_samples,
            *args,
            num_instances=number,
            **options,
        ).astype(np.uint8)
        width = picture.shape[1] * num_instances // max(1, number)
        rest = ((0, 0), (0, width - picture.shape[1]), (0, 0))
        return np.pad(picture, rest, constant_values=255)

    return filled
