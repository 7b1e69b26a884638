"""Which deviations of an exported file count."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmpose.models.pose_estimators import TopdownPoseEstimator
from torch import Tensor

from gtpt_mm.deploy import verify
from gtpt_mm.deploy.verify import VerifyReport

NUM_KEYPOINTS = 200


class Undecided:
    """A model of which some keypoints have two places that are equal.

    Which one wins, at x = 0 or 10, follows from the sign of a pixel that is 0.
    """

    model = object.__new__(TopdownPoseEstimator)

    def __init__(self, number: int) -> None:
        self.number = number

    def predict(self, images: Tensor) -> verify.Poses:
        poses = []
        for image in images:
            keypoints = np.zeros((1, NUM_KEYPOINTS, 2))
            keypoints[0, : self.number, 0] = 10.0 * (image[0, 0, 0] > 0)
            poses.append((keypoints, np.ones((1, NUM_KEYPOINTS))))
        return poses


def compare(number: int, found: np.ndarray) -> VerifyReport:
    """Compare a file that finds these keypoints, (K, 2)."""
    report = VerifyReport('file.onnx', tolerance_px=0.1, batches=[1])
    outputs = torch.tensor(found)[None], torch.ones(1, NUM_KEYPOINTS)
    verify._compare(
        report,
        Undecided(number),
        lambda images: outputs,
        SimpleNamespace(decode=True),
        [torch.zeros(1, 3, 2, 2)],
    )
    return report


def test_equal_maxima_do_not_count():
    found = np.zeros((NUM_KEYPOINTS, 2))
    found[0, 0] = 10  # the file chose the other place
    report = compare(1, found)
    assert report.passed
    assert report.max_px == 0
    assert report.mean_px == pytest.approx(10 / NUM_KEYPOINTS)
    assert report.num_undecided == 1
    assert '1 of 200 between equal maxima' in str(report)


def test_what_torch_is_sure_of_counts():
    found = np.zeros((NUM_KEYPOINTS, 2))
    found[0, 0], found[150, 1] = 10, 3
    report = compare(1, found)
    assert not report.passed
    assert report.max_px == 3


def test_many_equal_maxima_count():
    """Such a model tells nothing about its file."""
    found = np.zeros((NUM_KEYPOINTS, 2))
    found[:3, 0] = 10
    report = compare(3, found)
    assert not report.passed
    assert report.max_px == 10
    assert report.num_undecided == 0
