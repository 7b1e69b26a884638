"""Teacher, token, student: the sample configs, one after the other."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

#: Config of each run, in order.
RUNS = {
    'teacher': 'td-hm_vitpose-s_1xb16-14e_sample-96x64.py',
    'token': 'td-hm_vitpose-s-token_1xb16-14e_sample-96x64.py',
    'student': 'td-hm_vitpose-tiny-distill_1xb16-14e_sample-96x64.py',
}
TOKEN = 'backbone.knowledge.token'


def shrink(model: dict, embed_dims: int) -> None:
    model.backbone.arch = dict(embed_dims=embed_dims, depth=2, num_heads=2)
    model.head.update(in_channels=embed_dims, deconv_out_channels=(16, 16))


@pytest.fixture(scope='module')
def runs(repo_root, data_root, tmp_path_factory):
    """The finished runs by name, each of one epoch."""
    work_dir = tmp_path_factory.mktemp('distillation')
    boxes = 'person_detection_results/'
    boxes += 'COCO_val2017_detections_AP_H_56_person.json'
    runs = {}
    for name, file in RUNS.items():
        cfg = Config.fromfile(
            repo_root / 'configs/body_2d_keypoint/vitpose/sample' / file
        )
        init_default_scope(cfg.default_scope)
        shrink(cfg.model, 16 if name == 'student' else 32)
        if name != 'teacher':
            cfg.model.backbone.knowledge_dims = 32
            before = 'teacher' if name == 'token' else 'token'
            before = str(work_dir / before / 'epoch_1.pth')
            cfg.model.train_cfg.teacher_checkpoint = before
        if name == 'student':
            shrink(cfg.model.train_cfg.teacher, 32)
            cfg.model.train_cfg.token_checkpoint = before
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.num_workers = 0
            loader.persistent_workers = False
            loader.dataset.data_root = str(data_root) + '/'
        cfg.train_dataloader.batch_size = 8
        cfg.train_dataloader.dataset.indices = 24
        cfg.val_dataloader.dataset.bbox_file = str(data_root / boxes)
        cfg.test_dataloader = cfg.val_dataloader
        ann_file = str(data_root / cfg.val_dataloader.dataset.ann_file)
        cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = ann_file
        cfg.train_cfg.update(max_epochs=1, val_interval=1)
        cfg.param_scheduler[0].end = 2
        cfg.param_scheduler[1].update(T_max=1, eta_min=0)
        cfg.default_hooks.logger.interval = 1
        cfg.visualizer.name = f'distillation-{name}'
        cfg.work_dir = str(work_dir / name)
        runs[name] = Runner.from_cfg(cfg)
        runs[name].train()
    return runs


def read(runner) -> dict[str, torch.Tensor]:
    return torch.load(f'{runner.work_dir}/epoch_1.pth')['state_dict']


def test_only_the_token_differs_after_phase_1(runs):
    teacher, token = read(runs['teacher']), read(runs['token'])
    assert set(token) - set(teacher) == {TOKEN}
    for name, value in teacher.items():
        assert torch.equal(token[name], value), name


def test_student_keeps_the_token_and_learns_from_both(runs):
    assert torch.equal(
        read(runs['student'])[TOKEN], read(runs['token'])[TOKEN]
    )
    for loss in ('loss_kpt', 'loss_output'):
        values, _ = (
            runs['student'].message_hub.log_scalars[f'train/{loss}'].data
        )
        assert len(values) == 3
        assert (values > 0).all()


def test_student_tests_without_its_teacher(runs):
    """The files of the training may be gone."""
    cfg = runs['student'].cfg.copy()
    for key in ('teacher_checkpoint', 'token_checkpoint'):
        cfg.model.train_cfg[key] = 'nowhere.pth'
    cfg.load_from = f'{cfg.work_dir}/epoch_1.pth'
    cfg.visualizer.name = 'distillation-test'
    metrics = Runner.from_cfg(cfg).test()
    trained = runs['student'].message_hub.log_scalars['val/coco/AP'].current()
    assert metrics['coco/AP'] == pytest.approx(trained, abs=1e-6)
