"""``gtpt-mm analyze``: configs of every kind, files, and what is written."""

import csv
import json
from pathlib import Path

import cv2
import mmpose
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from support.planted_errors import PlantedSet
from support.runs import make_runner

from gtpt_mm.apis.analysis import analyze_results
from gtpt_mm.apis.analysis_run import Collector, analyze_model
from gtpt_mm.cli import main

STOCK = Path(mmpose.__file__).parent / '.mim/configs/body_2d_keypoint'
BODY = 'configs/body_2d_keypoint'
CONFIGS = {
    'coco': f'{BODY}/vitpose/sample/td-hm_vitpose-s_1xb16-14e_sample-96x64.py',
    'mpii': f'{BODY}/hevitpose/sample/'
    'td-hm_hevitpose-t_1xb16-6e_sample-mpii-128x128.py',
    'stock': STOCK
    / 'topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py',
    'bottomup': f'{BODY}/group_pose/sample/'
    'group-pose_res18_1xb8-20e_sample-coco-96x144.py',
}


@MODELS.register_module()
class Oracle(BaseModel):
    """Predicts what is annotated, with noise that depends on it alone."""

    def __init__(self, ann_file='', **kwargs) -> None:
        super().__init__()
        self.size = torch.nn.Parameter(torch.tensor(0.03))
        self.people = []
        if ann_file:
            truth = json.loads(Path(ann_file).read_text())
            self.people = truth['annotations']

    def find(self, sample) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints and boxes (x1, y1, x2, y2) of a sample."""
        gt = sample.gt_instances
        if not self.people:
            return np.array(gt.keypoints), np.array(gt.bboxes)
        found = [p for p in self.people if p['image_id'] == sample.img_id]
        points = np.array([p['keypoints'] for p in found], float)
        boxes = np.array([p['bbox'] for p in found], float)
        boxes[:, 2:] += boxes[:, :2]
        return points.reshape(len(found), -1, 3)[..., :2], boxes

    def forward(self, inputs, data_samples=None, mode='predict'):
        for sample in data_samples:
            points, boxes = self.find(sample)
            rng = np.random.default_rng(int(abs(points).sum()))
            sides = (boxes[:, 2:] - boxes[:, :2]).max(1)
            noise = rng.normal(size=points.shape) * sides[:, None, None]
            sample.pred_instances = InstanceData(
                keypoints=points + float(self.size) * noise,
                keypoint_scores=rng.random(points.shape[:2]),
                bboxes=boxes,
            )
        return data_samples


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    from pose_samples import generate

    root = tmp_path_factory.mktemp('analysis')
    generate(root, ['coco', 'mpii'], num_train=1, num_val=6, seed=3)
    return root


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'oracle.pth'
    torch.save(dict(state_dict=Oracle().state_dict(), meta={}), path)
    return path


@pytest.fixture(scope='module')
def configure(repo_root, data, tmp_path_factory):
    """Return a function that writes a config with the oracle as model."""

    def write(name: str):
        cfg = Config.fromfile(repo_root / CONFIGS[name])
        folder = data / ('mpii' if name == 'mpii' else 'coco')
        loader = cfg.val_dataloader
        loader.num_workers, loader.persistent_workers = 0, False
        loader.dataset.data_root = f'{folder}/'
        loader.dataset.pop('bbox_file', None)
        cfg.test_dataloader = loader
        if name == 'mpii':
            loader.dataset.headbox_file = (
                f'{folder}/annotations/mpii_gt_val.mat'
            )
        else:
            ann_file = f'{folder}/{loader.dataset.ann_file}'
            cfg.test_evaluator.ann_file = ann_file
        cfg.model = dict(type='Oracle', backbone={})
        if name == 'bottomup':  # its transforms move what samples carry
            cfg.model.ann_file = ann_file
        cfg.config_check = False
        path = tmp_path_factory.mktemp(name) / f'{name}.py'
        cfg.dump(path)
        return path

    return write


@pytest.mark.parametrize('name', ['coco', 'stock', 'bottomup'])
def test_ap_of_a_config_is_that_of_its_metric(
    name, configure, checkpoint, tmp_path
):
    config = configure(name)
    metrics = make_runner(config, tmp_path, load_from=str(checkpoint)).test()
    analysis = analyze_model(config, checkpoint)
    assert 0.05 < metrics['coco/AP'] < 0.95
    assert analysis.ap == pytest.approx(metrics['coco/AP'], abs=1e-9)
    assert all(case.image.is_file() for case in analysis.worst(5))


def test_sets_without_a_metric_of_coco(configure, checkpoint):
    """MPII: its annotations are those of the samples."""
    config = configure('mpii')
    analysis = analyze_model(config, checkpoint)
    assert len(analysis.per_keypoint) == 16
    mean = np.mean([row['error'] for row in analysis.per_keypoint])
    expected = 0.03 * (np.pi / 2) ** 0.5  # mean length of the noise
    assert mean == pytest.approx(expected, rel=0.2)
    assert analysis.pck > 0.95
    assert all(case.image.is_file() for case in analysis.worst(5))


def test_bottom_up_samples_keep_the_annotations_of_their_file():
    raw = dict(id=7, image_id=5, category_id=3, area=9.0, iscrowd=0)
    raw |= dict(bbox=[1, 2, 3, 4], keypoints=[1, 2, 2, 3, 4, 0])
    points = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    sample = dict(
        img_path='a.jpg', ori_shape=(30, 40), raw_ann_info=[raw],
        gt_instances=dict(keypoints=9 * points),
        pred_instances=dict(
            keypoints=points, keypoint_scores=np.array([[0.5, 0.7]])
        ),
    )  # fmt: skip
    collector = Collector()
    collector.process(None, [sample])
    assert collector.compute_metrics(collector.results) == {}
    truth, results = collector.found
    [image] = truth['images']
    assert (image['width'], image['height']) == (40, 30)
    expected = raw | dict(id=1, image_id=1, category_id=1)
    assert truth['annotations'] == [expected]
    assert results[0]['score'] == pytest.approx(0.6)
    assert results[0]['keypoints'] == [1, 2, 0.5, 3, 4, 0.7]
    sample['pred_instances']['keypoints'] = np.zeros((1, 2, 3))
    with pytest.raises(ValueError, match='only poses in two dimensions'):
        collector.process(None, [sample])


def test_command_with_files_writes_page_numbers_and_tables(
    tmp_path, capsys, monkeypatch
):
    planted = PlantedSet(images=2)
    planted.shift(1, 9, 0.7)
    planted.shift(4, 0, 0.2)
    for image in planted.truth['images']:
        picture = np.full((image['height'], image['width'], 3), 99, np.uint8)
        cv2.imwrite(str(tmp_path / image['file_name']), picture)
    planted.truth['categories'][0]['keypoints'] = list(
        planted.metainfo['keypoint_id2name'].values()
    )
    (tmp_path / 'gt.json').write_text(json.dumps(planted.truth))
    (tmp_path / 'found.json').write_text(json.dumps(planted.results))
    out = tmp_path / 'out'
    command = ['analyze', 'gt.json', 'found.json', '--out', str(out)]
    monkeypatch.chdir(tmp_path)
    assert main(command) == 0
    printed = capsys.readouterr().out
    analysis = analyze_results(
        planted.truth, planted.results, planted.metainfo, tmp_path
    )
    assert f'AP {analysis.ap:.3f}' in printed
    numbers = json.loads((out / 'analysis.json').read_text())
    assert numbers == json.loads(json.dumps(analysis.to_dict()))
    assert {e['error']: e['count'] for e in numbers['errors']}['jitter'] == 1
    page = (out / 'report.html').read_text()
    assert page.count('data:image/jpeg') == 6
    assert page.count('<svg') == 6
    assert 'background false positive' in page
    with open(out / 'keypoints.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert rows[9]['keypoint'] == 'left_wrist'
    assert rows[9]['jitter'] == '1'
    for name, length in dict(errors=8, groups=3, instances=6).items():
        with open(out / f'{name}.csv', newline='') as file:
            assert len(list(csv.DictReader(file))) == length, name
    assert main(command) == 2  # it exists
    assert '--overwrite' in capsys.readouterr().err
    assert main([*command, '--overwrite', '--worst', '0']) == 0
    assert '<img' not in (out / 'report.html').read_text()


def test_the_worst_are_drawn_where_they_are(tmp_path):
    from gtpt_mm.visualization.error_pictures import TRUTH, draw_errors

    image = np.zeros((400, 600, 3), np.uint8)
    truth = np.array([[300.0, 200.0, 2.0], [0.0, 0.0, 0.0]])
    picture = draw_errors(image, [280, 190, 40, 20], truth, None, [(0, 1)])
    y, x = np.argwhere((picture == TRUTH).all(-1)).mean(0)
    # The crop is 60 x 40 from (270, 180), enlarged to 480 x 320.
    assert picture.shape == (320, 480, 3)
    assert (x, y) == pytest.approx((30.5 * 8 - 0.5, 20.5 * 8 - 0.5), abs=0.6)


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['gt.json', 'weights.pth'], 'not a file of results'),
        (['gt.json', 'found.json'], 'their sigmas are needed'),
        (['gt.json', 'found.json', '--metainfo', 'Nothing'], 'neither a file'),
        (['gtpt-t', 'x.pth', '--images', '.'], 'for an annotation file'),
        (['found.json', 'found.json', '--metainfo', 'CocoDataset'],
         'not an annotation file'),
    ],
)  # fmt: skip
def test_bad_input(args, message, tmp_path, capsys, monkeypatch):
    planted = PlantedSet(images=1)
    (tmp_path / 'gt.json').write_text(json.dumps(planted.truth))
    (tmp_path / 'found.json').write_text(json.dumps(planted.results))
    monkeypatch.chdir(tmp_path)
    assert main(['analyze', *args, '--out', 'out']) == 2
    assert message in capsys.readouterr().err


def test_metainfo_beside_the_annotations(tmp_path, monkeypatch, capsys):
    planted = PlantedSet(images=1)
    (tmp_path / 'gt.json').write_text(json.dumps(planted.truth))
    (tmp_path / 'found.json').write_text(json.dumps(planted.results))
    info = dict(
        dataset_name='own',
        keypoint_info={
            k: dict(name=f'point {k}', id=k, color=[0, 0, 0], type='', swap='')
            for k in range(17)
        },
        skeleton_info={},
        joint_weights=[1.0] * 17,
        sigmas=[0.05] * 17,
    )
    (tmp_path / 'metainfo.py').write_text(f'dataset_info = {info!r}\n')
    monkeypatch.chdir(tmp_path)
    assert main(['analyze', 'gt.json', 'found.json', '--out', 'out']) == 0
    assert 'point 16' in capsys.readouterr().out
