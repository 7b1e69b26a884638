"""AP on arrays: bit by bit that of COCO's evaluation."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO as PyCOCO
from pycocotools.cocoeval import COCOeval as PyCOCOeval
from support.coco_people import draw

from gtpt_mm.evaluation.errors import THRESHOLDS, compute_ap, read_poses
from gtpt_mm.ops import COCO, COCOeval

K = 5
SIGMAS = np.linspace(0.02, 0.11, K)
METAINFO = dict(
    sigmas=SIGMAS, keypoint_id2name={k: f'point_{k}' for k in range(K)}
)


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('kind', ['keypoints', 'keypoints_crowd'])
@pytest.mark.parametrize('use_area', [True, False])
def test_ap_is_that_of_the_metric(tmp_path, seed, kind, use_area):
    labels, results = draw(seed, num_images=8)
    path = tmp_path / 'gt.json'
    path.write_text(json.dumps(labels))
    poses = read_poses(labels, results, METAINFO, kind, use_area)
    ours = compute_ap(poses)
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO(str(path))
        found = COCOeval(gt, gt.loadRes(results), kind, SIGMAS, use_area)
        found.evaluate()
        found.accumulate()
    theirs = found.eval['precision'][:, :, :, 0, -1]
    expected = [v[v > -1].mean() if (v > -1).any() else -1 for v in theirs]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('seed', range(10))
def test_ap_is_that_of_pycocotools(tmp_path, seed):
    labels, results = draw(seed, num_images=8)
    for ann in labels['annotations']:
        ann['id'] += 1  # pycocotools takes a match with id 0 for none
        ann['num_keypoints'] = sum(v > 0 for v in ann['keypoints'][2::3])
    for found in results:  # pycocotools counts what mmpose drops
        found['keypoints'][2] = 1
    path = tmp_path / 'gt.json'
    path.write_text(json.dumps(labels))
    with contextlib.redirect_stdout(io.StringIO()):
        gt = PyCOCO(str(path))
        theirs = PyCOCOeval(gt, gt.loadRes(results), 'keypoints')
        theirs.params.kpt_oks_sigmas = SIGMAS
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    ours = compute_ap(read_poses(labels, results, METAINFO))
    assert len(ours) == len(THRESHOLDS)
    assert ours.mean() == pytest.approx(theirs.stats[0], abs=1e-12)
