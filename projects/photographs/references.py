"""Measure two small public networks on the same people, for reference.

    PYTHONPATH=. python projects/photographs/references.py

Ultralight-SimplePose and MoveNet Thunder run as the ONNX files of
``../shared/weights``, without flip test, on the val split of ``lspet_sub``
with annotated boxes. They predict COCO's keypoints: twelve limb joints are
compared, with crop and PCK of mmpose, as in the table of the rows. MoveNet
helped to clean the labels, so its figure is too good.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.registry import init_default_scope

import gtpt_mm  # noqa: F401  (repairs before anything of mmpose)

from mmpose.codecs.utils import get_heatmap_maximum  # isort: skip
from mmpose.datasets import CocoDataset  # isort: skip
from mmpose.evaluation.functional import keypoint_pck_accuracy  # isort: skip

from projects.photographs.learn import OUT
from projects.photographs.runs import ROOT

WEIGHTS = ROOT.parent / 'shared/weights'
SET = ROOT.parent / 'shared/data/sets/lspet_sub'
#: Limb joints, in COCO's order; the first twelve of lspet_sub.
LIMBS = slice(5, 17)
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Reference:
    """A public network.

    Attributes:
        name: Its name.
        file: ONNX file.
        input_size: Crop (w, h) in pixels.
        prepare: BGR crop to the network's input.
        decode: Output to 17 points in pixels of the crop.
    """

    name: str
    file: str
    input_size: tuple[int, int]
    prepare: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]


def _simplepose_input(crop: np.ndarray) -> np.ndarray:
    rgb = crop[..., ::-1].astype(np.float32) / 255
    return ((rgb - MEAN) / STD).transpose(2, 0, 1)[None]


def _simplepose_points(output: np.ndarray) -> np.ndarray:
    """Return the maxima, shifted by 1/4 cell towards the larger neighbour."""
    maps = output[0]
    points, _ = get_heatmap_maximum(maps)
    for heatmap, point in zip(maps, points, strict=True):
        x, y = point.astype(int)
        if 0 < x < heatmap.shape[1] - 1 and 0 < y < heatmap.shape[0] - 1:
            steps = (
                heatmap[y, x + 1] - heatmap[y, x - 1],
                heatmap[y + 1, x] - heatmap[y - 1, x],
            )
            point += 0.25 * np.sign(steps)
    return points * 4


def _movenet_input(crop: np.ndarray) -> np.ndarray:
    return crop[None, ..., ::-1].astype(np.float32)


def _movenet_points(output: np.ndarray) -> np.ndarray:
    return output[0, 0, :, 1::-1] * 256


REFERENCES = [
    Reference(
        'Ultralight-SimplePose',
        'ultralight_simplepose.onnx',
        (192, 256),
        _simplepose_input,
        _simplepose_points,
    ),
    Reference(
        'MoveNet Thunder',
        'movenet-thunder.onnx',
        (256, 256),
        _movenet_input,
        _movenet_points,
    ),
]


def measure(reference: Reference, folder: Path) -> dict:
    """Return PCK and milliseconds of a network on the val split."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(WEIGHTS / reference.file), options, ['CPUExecutionProvider']
    )
    [tensor] = session.get_inputs()
    predicted, labelled, seen, sides, times = [], [], [], [], []
    for sample in _crops(folder, reference.input_size):
        feed = {tensor.name: reference.prepare(sample['img'])}
        start = time.process_time()
        [output, *_] = session.run(None, feed)
        times.append(time.process_time() - start)
        points = reference.decode(output)[LIMBS]
        size = np.array(reference.input_size)
        scale, center = sample['bbox_scale'][0], sample['bbox_center'][0]
        predicted.append(points / size * scale + center - 0.5 * scale)
        labelled.append(sample['keypoints'][0, :12])
        seen.append(sample['keypoints_visible'][0, :12] > 0)
        x1, y1, x2, y2 = sample['bbox'][0]
        sides.append([max(x2 - x1, y2 - y1)] * 2)
    result = dict(
        name=reference.name,
        input=' x '.join(map(str, reference.input_size)),
        ms=1000 * statistics.median(times),
        people=len(predicted),
    )
    for threshold in (0.05, 0.1):
        _, pck, _ = keypoint_pck_accuracy(
            np.array(predicted), np.array(labelled), np.array(seen),
            threshold, np.array(sides),
        )  # fmt: skip
        result[f'PCK@{threshold}'] = float(pck)
    return result


def _crops(folder: Path, input_size: tuple[int, int]) -> CocoDataset:
    """Return the val split as crops of this size (w, h)."""
    steps = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=input_size),
    ]
    return CocoDataset(
        ann_file='val.json',
        data_root=str(folder),
        data_prefix=dict(img='images/'),
        metainfo=dict(from_file='configs/_base_/datasets/crowdpose.py'),
        pipeline=steps,
        test_mode=True,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure both and write ``references.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=OUT)
    args = parser.parse_args(argv)
    init_default_scope('mmpose')
    rows = [measure(reference, SET) for reference in REFERENCES]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / 'references.json').write_text(json.dumps(rows, indent=1))
    print(json.dumps(rows, indent=1))


if __name__ == '__main__':
    main()
