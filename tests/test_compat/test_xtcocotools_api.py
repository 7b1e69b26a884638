"""The names of xtcocotools, supplied where it is missing or broken."""

import importlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from mmpose.registry import TRANSFORMS

from gtpt_mm import compat
from gtpt_mm.compat.stack import xtcocotools_api as shim

#: How a process finds xtcocotools: not at all, or built for another numpy.
HIDE = {
    'missing': "sys.modules['xtcocotools'] = None",
    'broken': """
        class Broken:
            def find_spec(self, name, path=None, target=None):
                if name == 'xtcocotools._mask':
                    raise ValueError(
                        'numpy.dtype size changed, may indicate binary '
                        'incompatibility'
                    )
        sys.meta_path.insert(0, Broken())
    """,
}
#: AP of mmpose's metrics on the file, of its people as detections.
EVALUATE = """
    import gtpt_mm
    import mmpose.apis, mmdet.apis
    import numpy as np
    from importlib.util import find_spec
    from mmengine.registry import init_default_scope
    from mmpose.registry import METRICS, TRANSFORMS
    from gtpt_mm import compat, ops

    assert not gtpt_mm.import_error, gtpt_mm.import_error
    init_default_scope('mmpose')
    import xtcocotools.cocoeval
    from xtcocotools import mask
    for name in ('', '.coco', '.cocoeval', '.mask'):
        assert find_spec('xtcocotools' + name).name == 'xtcocotools' + name

    def score(kind, labels, num_keypoints, shift, **options):
        metric = METRICS.build(dict(type=kind, ann_file=labels, **options))
        metric.dataset_meta = dict(
            dataset_name='drawn', num_keypoints=num_keypoints,
            sigmas=np.full(num_keypoints, 0.05),
        )
        keys = ('keypoints', 'foot_kpts', 'face_kpts', 'lefthand_kpts',
                'righthand_kpts') if 'Whole' in kind else ('keypoints',)
        people = list(metric.coco.anns.values())
        for ann in people:
            points = sum((list(ann[key]) for key in keys), [])
            points = np.array(points, float).reshape(1, -1, 3)
            found = dict(
                keypoints=points[..., :2] + shift,
                keypoint_scores=np.ones(points.shape[:2]),
                bbox_scores=np.ones(1),
            )
            metric.process(None, [dict(
                id=ann['id'], img_id=ann['image_id'], gt_instances={},
                category_id=ann['category_id'], pred_instances=found,
            )])
        return metric.evaluate(len(people))

    mask_of = TRANSFORMS.build(dict(type='BottomupGetHeatmapMask'))
    triangle = mask_of._segs_to_mask([[[0, 0, 9, 0, 9, 9]]], (10, 10))
    found = {
        'repaired': compat.applied()['xtcocotools_api'],
        'ours': xtcocotools.cocoeval.COCOeval is ops.COCOeval,
        'area': int(triangle.sum()),
        'values': [score(**job) for job in jobs],
    }
    print(json.dumps(found))
"""


def run(hide: str, jobs: list[dict], **env: str) -> dict:
    parts = ['import json, sys', hide, f'jobs = {jobs!r}', EVALUATE]
    code = '\n'.join(map(textwrap.dedent, parts))
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', **env},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def jobs(tmp_path) -> list[dict]:
    """Evaluations of mmpose's metrics, of drawn people."""
    rng = np.random.default_rng(0)
    people = []
    for number in range(8):
        sizes = dict(
            keypoints=17,
            foot_kpts=6,
            face_kpts=68,
            lefthand_kpts=21,
            righthand_kpts=21,
        )
        parts = {}
        for key, size in sizes.items():
            points = np.full((size, 3), 2.0)
            points[:, :2] = rng.uniform(20, 120, (size, 2))
            parts[key] = points.flatten().tolist()
        people.append(
            dict(
                id=number, image_id=number, category_id=1, iscrowd=0,
                bbox=[20, 20, 100, 100], area=5000.0, num_keypoints=17,
                **parts,
            )
        )  # fmt: skip
    images = [
        dict(
            id=n,
            width=140,
            height=140,
            file_name=f'{n}.jpg',
            crowdIndex=n / 8,
        )
        for n in range(8)
    ]
    path = tmp_path / 'labels.json'
    labels = dict(
        images=images,
        annotations=people,
        categories=[dict(id=1, name='person')],
    )
    path.write_text(json.dumps(labels))
    common = dict(labels=str(path), num_keypoints=17, shift=4.0)
    return [
        common | dict(kind='CocoMetric'),
        common | dict(kind='CocoMetric', use_area=False),
        common | dict(
            kind='CocoMetric', iou_type='keypoints_crowd', use_area=False
        ),
        common | dict(kind='CocoWholeBodyMetric', num_keypoints=133),
    ]  # fmt: skip


@pytest.mark.parametrize(
    'kind', ['missing', pytest.param('broken', marks=pytest.mark.slow)]
)
def test_metrics_without_xtcocotools(kind, jobs, capsys):
    """All values are those with xtcocotools, where it is installed."""
    exec(textwrap.dedent(EVALUATE), dict(json=json, jobs=jobs))
    with_it = json.loads(capsys.readouterr().out.splitlines()[-1])
    without = run(HIDE[kind], jobs)
    assert without['ours'] and without['repaired']
    assert without['values'] == with_it['values']
    assert without['area'] == with_it['area'] == 36
    assert 0 < with_it['values'][0]['coco/AP'] < 1


@pytest.mark.skipif(
    compat.applied()['xtcocotools_api'] == shim.ABSENT,
    reason='no xtcocotools is there that could be broken',
)
def test_without_the_repair_mmpose_cannot_be_imported():
    code = '\n'.join(
        map(textwrap.dedent, ['import sys', HIDE['broken'], 'import gtpt_mm'])
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'GTPT_MM_COMPAT': '0'},
    )
    assert 'numpy.dtype size changed' in done.stderr
    assert 'gtpt-mm doctor' in done.stderr


def test_absent_and_broken_are_told_apart(monkeypatch):
    for name in shim.MODULES:
        monkeypatch.delitem(sys.modules, name, False)
    monkeypatch.setitem(sys.modules, 'xtcocotools', None)
    assert shim.missing() == shim.ABSENT
    monkeypatch.undo()

    def fail(name):
        raise ValueError('numpy.dtype size changed')

    monkeypatch.setattr(importlib, 'import_module', fail)
    assert 'numpy.dtype size changed' in shim.missing()


def test_masks_of_polygons_are_filled():
    """xtcocotools built for numpy 2 still fails to decode masks."""
    transform = TRANSFORMS.build(dict(type='BottomupGetHeatmapMask'))
    square = [[2, 2, 6, 2, 6, 6, 2, 6]]
    mask = transform._segs_to_mask([square], (10, 10))
    assert mask.sum() == 16
    assert mask[2:6, 2:6].all()


def test_shim_names_no_module_of_ours():
    """compat is handed the classes; it imports none."""
    source = Path(shim.__file__).read_text()
    assert 'from ...' not in source and 'import gtpt_mm' not in source
