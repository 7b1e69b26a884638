"""Two stages: what is loaded, what the switch does, exact resuming."""

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample

from gtpt_mm.convert import convert_gtpt, export_gtpt, gtpt_names
from gtpt_mm.engine import CosineEMAHook, CurriculumHook
from gtpt_mm.engine.body_weights import find_checkpoint, load_body_weights

CODEC = dict(type='UnroundedSimCCLabel', input_size=(64, 96), sigma=4.0)
#: Eight keypoints: 5 to 7 are dense ones of the second group.
WHOLE_BODY = [dict(sparse=[0, 1, 2]), dict(sparse=[3, 4], parts=[[5, 6, 7]])]
BODY = [dict(sparse=[0, 1, 2]), dict(sparse=[3, 4])]
STAGE_2 = [
    dict(type='LinearLR', start_factor=0.5, end=3, by_epoch=False),
    dict(type='MultiStepLR', milestones=[1], gamma=0.1),
]
NEW = ['backbone.part_embed', 'backbone.dense_embed']


def make_model(groups=WHOLE_BODY, arch=None) -> dict:
    return dict(
        type='TopdownPoseEstimator',
        backbone=dict(
            type='GTPT',
            arch=arch or dict(embed_dims=16, stem_channels=16),
            img_size=(96, 64),
            keypoint_groups=groups,
            keep_rates=(1.0, 0.7, 0.5, 0.3),
            patch_size=(4, 4),
        ),
        head=dict(
            type='GTPTHead',
            in_channels=16,
            out_channels=8 if groups == WHOLE_BODY else 5,
            decoder=CODEC,
        ),
    )


class People(torch.utils.data.Dataset):
    """Noise with keypoints: all that a loss needs, the same every time."""

    METAINFO = metainfo = {}

    def __init__(self, num_people=6, num_keypoints=8):
        generator = torch.Generator().manual_seed(7)
        codec = KEYPOINT_CODECS.build(CODEC)
        self.samples = []
        for _ in range(num_people):
            points = torch.rand(1, num_keypoints, 2, generator=generator)
            labels = codec.encode(60 * points.numpy())
            sample = PoseDataSample()
            sample.gt_instance_labels = InstanceData(
                **{key: torch.from_numpy(v) for key, v in labels.items()}
            )
            img = torch.randn(3, 96, 64, generator=generator)
            self.samples.append(dict(inputs=img, data_samples=sample))

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def make_runner(work_dir, hook, *, epochs=4, model=None, ema=None, **kwargs):
    init_default_scope('mmpose')
    make_runner.count += 1
    model = model or make_model()
    hooks = [dict(type='CurriculumHook', **hook)] if hook else []
    if ema is not False:
        hooks.append(dict(type='CosineEMAHook', momentum=0.5, **(ema or {})))
    return Runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=People(num_keypoints=model['head']['out_channels']),
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=True),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3)),
        param_scheduler=[
            dict(type='MultiStepLR', milestones=[1], gamma=0.1, by_epoch=True)
        ],
        custom_hooks=hooks,
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1),
            logger=dict(type='LoggerHook', interval=1),
        ),
        randomness=dict(seed=1),
        default_scope='mmpose',
        experiment_name=f'curriculum_{make_runner.count}',
        **kwargs,
    )


make_runner.count = 0


class Probe:
    """Notes of every step: rate, length of the average, supervision."""

    def __init__(self, runner):
        self.notes = []
        model, ema = runner.model, find_hook(runner, CosineEMAHook)
        train_step = model.train_step

        def spy(data, optim_wrapper):
            self.notes.append(
                dict(
                    lr=optim_wrapper.get_lr()['lr'][0],
                    length=ema.ema_model.total_iters,
                    step=int(ema.ema_model.steps),
                    supervised=model.head.supervised,
                    moments=len(optim_wrapper.optimizer.state),
                    lag=distance(model, ema.ema_model.module),
                )
            )
            return train_step(data, optim_wrapper)

        model.train_step = spy

    def __getitem__(self, key):
        return [note[key] for note in self.notes]


def distance(a, b) -> float:
    return sum(
        float((x - y).detach().abs().sum())
        for x, y in zip(a.parameters(), b.parameters(), strict=True)
    )


def find_hook(runner, cls):
    return next(hook for hook in runner.hooks if isinstance(hook, cls))


def assert_same(a, b, path=''):
    """Bit by bit, through dicts and lists."""
    assert type(a) is type(b), path
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_same(a[key], b[key], f'{path}.{key}')
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f'{path}.{i}')
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    else:
        assert a == b, path


# --- one run ---------------------------------------------------------------

ONE_RUN = dict(switch_epoch=2, param_scheduler=STAGE_2)


@pytest.fixture(scope='module')
def straight(tmp_path_factory):
    """Four epochs of three steps; all keypoints after the second."""
    work_dir = tmp_path_factory.mktemp('straight')
    runner = make_runner(work_dir, ONE_RUN)
    probe = Probe(runner)
    runner.train()
    return work_dir, probe


def test_supervision_rate_average_and_optimizer_switch(straight):
    _, probe = straight
    assert probe['supervised'] == [[0, 1, 2, 3, 4]] * 6 + [None] * 6
    # A warm-up of three steps from one half, a tenth in the last epoch.
    expected = [1e-3] * 3 + [1e-4] * 3 + [5e-4, 7.5e-4, 1e-3] + [1e-4] * 3
    assert probe['lr'] == pytest.approx(expected)
    assert probe['length'] == [6] * 12
    assert probe['step'] == [0, 1, 2, 3, 4, 5] * 2
    moments = probe['moments']
    assert moments[0] == moments[6] == 0
    assert min(moments[1:6] + moments[7:]) > 0
    # The model has taken the average, which starts from there.
    assert probe['lag'][6] == 0
    assert min(probe['lag'][1:6] + probe['lag'][7:]) > 0


def test_model_takes_the_average(straight, tmp_path):
    """At the switch, and it is the average that epoch 2 has saved."""
    work_dir, _ = straight
    saved = torch.load(work_dir / 'epoch_2.pth', weights_only=True)
    runner = make_runner(
        tmp_path,
        ONE_RUN,
        load_from=str(work_dir / 'epoch_2.pth'),
        resume=True,
    )
    seen = []
    train_step = runner.model.train_step

    def spy(data, optim_wrapper):
        if not seen:
            seen.append(
                {k: v.clone() for k, v in runner.model.state_dict().items()}
            )
        return train_step(data, optim_wrapper)

    runner.model.train_step = spy
    runner.train()
    assert_same(seen[0], dict(saved['state_dict']))


@pytest.mark.parametrize('last', [1, 2, 3])
def test_resume_goes_on_exactly(straight, tmp_path, last):
    """Before the switch, where it is due, and after it."""
    work_dir, _ = straight
    checkpoint = work_dir / f'epoch_{last}.pth'
    saved = torch.load(checkpoint, weights_only=True)
    assert saved['curriculum'] == dict(switched_at=2 if last == 3 else None)
    runner = make_runner(
        tmp_path, ONE_RUN, load_from=str(checkpoint), resume=True
    )
    runner.train()
    ours, theirs = (
        torch.load(folder / 'epoch_4.pth', weights_only=True)
        for folder in (tmp_path, work_dir)
    )
    for key in (
        'state_dict',
        'ema_state_dict',
        'optimizer',
        'param_schedulers',
        'curriculum',
    ):
        assert_same(ours[key], theirs[key], key)
    assert ours['meta']['iter'] == theirs['meta']['iter'] == 12


@pytest.mark.parametrize('average', ['restart', 'keep'])
def test_average_may_restart_from_the_trained_weights_or_go_on(
    tmp_path, average
):
    hook = dict(switch_epoch=1, average=average, reset_optimizer=False)
    runner = make_runner(tmp_path, hook, epochs=2)
    probe = Probe(runner)
    runner.train()
    restarted = average == 'restart'
    assert probe['step'] == [0, 1, 2] + ([0, 1, 2] if restarted else [3, 4, 5])
    assert (probe['lag'][3] == 0) == restarted
    assert probe['length'] == ([3] if restarted else [6]) * 6
    assert min(probe['moments'][1:]) > 0
    # No schedule of the hook's own: the training's goes on.
    assert probe['lr'] == pytest.approx([1e-3] * 3 + [1e-4] * 3)
    # The model kept its trained weights.
    trained = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    assert trained['curriculum'] == dict(switched_at=None)


def test_rate_ratio_and_chosen_keypoints_without_an_average(tmp_path):
    hook = dict(
        switch_epoch=1,
        keypoints=[4, 1],
        param_scheduler=[],
        lr_ratio=0.3,
        average='keep',
    )
    runner = make_runner(tmp_path, hook, epochs=2, ema=False)
    notes = []
    train_step = runner.model.train_step

    def spy(data, optim_wrapper):
        rate = optim_wrapper.get_lr()['lr'][0]
        notes.append((runner.model.head.supervised, rate))
        return train_step(data, optim_wrapper)

    runner.model.train_step = spy
    runner.train()
    assert notes == [([4, 1], 1e-3)] * 3 + [(None, pytest.approx(3e-4))] * 3


def test_every_parameter_learns_from_the_body_alone():
    """Else DDP would wait for gradients that never come."""
    init_default_scope('mmpose')
    model = MODELS.build(make_model()).train()
    model.head.supervise(model.backbone.groups.sparse)
    people = People(2)
    data = model.data_preprocessor(
        pseudo_collate([people[0], people[1]]), True
    )
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
    for name in NEW:
        assert model.get_parameter(name).grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(), 'init_from.*switch_epoch'),
        (dict(switch_epoch=0), 'switch_epoch.*0'),
        (dict(init_from='a', keypoints=[0]), 'switch_epoch'),
        (dict(init_from='a', param_scheduler=[]), 'switch_epoch'),
        (dict(switch_epoch=1, lr_ratio=0.1), 'lr_ratio=0.1'),
        (
            dict(switch_epoch=1, lr_ratio=-1, param_scheduler=[]),
            'lr_ratio=-1',
        ),
        (dict(switch_epoch=1, average='drop'), "'drop'"),
    ],
)
def test_contradicting_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        CurriculumHook(**options)


@pytest.mark.parametrize(
    ('hook', 'kwargs', 'words'),
    [
        (dict(switch_epoch=4), dict(), 'switch_epoch=4.* 4 epochs'),
        (dict(switch_epoch=2), dict(ema=False), "'keep'"),
        (
            dict(switch_epoch=2),
            dict(ema=dict(total_epochs=4)),
            'total_epochs=4',
        ),
        (dict(switch_epoch=2), dict(model=make_model(BODY)), 'no dense'),
        (dict(switch_epoch=2, keypoints=[8]), dict(), r'0..7.*\[8\]'),
    ],
)
def test_training_that_does_not_fit_is_named(tmp_path, hook, kwargs, words):
    runner = make_runner(tmp_path, hook, **kwargs)
    with pytest.raises(ValueError, match=words):
        runner.train()


@pytest.mark.parametrize(('last', 'switch'), [(3, 3), (3, 1), (2, 1)])
def test_resume_with_another_switch_is_refused(
    straight, tmp_path, last, switch
):
    work_dir, _ = straight
    runner = make_runner(
        tmp_path,
        ONE_RUN | dict(switch_epoch=switch),
        load_from=str(work_dir / f'epoch_{last}.pth'),
        resume=True,
    )
    with pytest.raises(ValueError, match=f'switch_epoch={switch}'):
        runner.train()


# --- two runs --------------------------------------------------------------


@pytest.fixture(scope='module')
def body_run(tmp_path_factory):
    """The work folder of a body run; ``state_dict`` is the average."""
    work_dir = tmp_path_factory.mktemp('body')
    make_runner(work_dir, None, epochs=1, model=make_model(BODY)).train()
    (work_dir / 'epoch_1.pth').rename(work_dir / 'best_coco_AP_epoch_1.pth')
    return work_dir


def read_log(work_dir) -> str:
    return ''.join(path.read_text() for path in work_dir.glob('*/*.log'))


def test_second_run_starts_from_the_average(body_run, tmp_path):
    """Model and average; a resumed run does not load it again."""
    saved = torch.load(
        body_run / 'best_coco_AP_epoch_1.pth', weights_only=True
    )
    runner = make_runner(tmp_path, dict(init_from=str(body_run)), epochs=2)
    ema = find_hook(runner, CosineEMAHook)
    seen = []
    train_step = runner.model.train_step

    def spy(data, optim_wrapper):
        if not seen:
            for module in (runner.model, ema.ema_model.module):
                seen.append(
                    {k: v.clone() for k, v in module.state_dict().items()}
                )
        return train_step(data, optim_wrapper)

    runner.model.train_step = spy
    runner.train()
    assert_same(*seen)
    assert set(seen[0]) - set(saved['state_dict']) == set(NEW)
    for name, value in saved['state_dict'].items():
        assert torch.equal(seen[0][name], value), name
    key = 'backbone.layers.0.attn.qkv.weight'
    assert not torch.equal(
        saved['state_dict'][key], saved['ema_state_dict'][f'module.{key}']
    )
    log = read_log(tmp_path)
    assert f'2 new ({", ".join(NEW)}); 0 left out' in log
    assert f'{len(saved["state_dict"])} tensors loaded' in log
    assert 'differs' not in log

    checkpoint = tmp_path / 'epoch_1.pth'
    half = torch.load(checkpoint, weights_only=True)
    assert 'curriculum' not in half
    resumed = make_runner(
        tmp_path / 'again',
        dict(init_from='no such file any more'),
        epochs=2,
        load_from=str(checkpoint),
        resume=True,
    )
    resumed.train()
    ours, theirs = (
        torch.load(folder / 'epoch_2.pth', weights_only=True)
        for folder in (tmp_path / 'again', tmp_path)
    )
    for key in ('state_dict', 'ema_state_dict', 'optimizer'):
        assert_same(ours[key], theirs[key], key)


def test_load_from_and_init_from_exclude_each_other(body_run, tmp_path):
    best = str(body_run / 'best_coco_AP_epoch_1.pth')
    runner = make_runner(tmp_path, dict(init_from=best), load_from=best)
    with pytest.raises(ValueError, match='load_from'):
        runner.train()


def test_folder_needs_one_best_checkpoint(tmp_path):
    with pytest.raises(ValueError, match='missing.*custom_hooks.N.init_from'):
        find_checkpoint(tmp_path / 'missing')
    (tmp_path / 'epoch_300.pth').touch()
    with pytest.raises(ValueError, match=r'best_\*.pth.*\[\]'):
        find_checkpoint(tmp_path)
    best = tmp_path / 'best_coco_AP_epoch_290.pth'
    best.touch()
    assert find_checkpoint(str(tmp_path)) == best
    (tmp_path / 'best_PCK_epoch_1.pth').touch()
    with pytest.raises(ValueError, match='best_PCK.*best_coco_AP'):
        find_checkpoint(tmp_path)


def test_other_sizes_and_other_models_are_refused(body_run, tmp_path):
    init_default_scope('mmpose')
    best = body_run / 'best_coco_AP_epoch_1.pth'
    wider = MODELS.build(
        make_model(arch=dict(embed_dims=16, stem_channels=32))
    )
    before = {k: v.clone() for k, v in wider.state_dict().items()}
    with pytest.raises(ValueError, match=r'stem.*\(8,.*there.*\(16,.*here'):
        load_body_weights(wider, best)
    assert_same(dict(wider.state_dict()), before)
    torch.save({'surprise': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='surprise'):
        load_body_weights(wider, tmp_path / 'other.pth')


def test_what_differs_from_a_body_model_is_warned_of(body_run, tmp_path):
    content = torch.load(
        body_run / 'best_coco_AP_epoch_1.pth', weights_only=True
    )['state_dict']
    del content['head.fc_x.bias']
    torch.save(content | dict(extra=torch.zeros(1)), tmp_path / 'odd.pth')
    hook = dict(init_from=str(tmp_path / 'odd.pth'))
    make_runner(tmp_path, hook, epochs=1).train()
    log = read_log(tmp_path)
    assert '3 new (' in log
    assert '1 left out (extra)' in log
    assert 'this one also in extra, head.fc_x.bias' in log


def test_authors_checkpoint_loads_as_the_authors_load_it(
    gtpt_goldens, tmp_path
):
    """Which tensor of the body file each tensor of stage 2 equals."""
    init_default_scope('mmpose')
    golden = gtpt_goldens.json('stage2_load')
    official = {
        key: torch.from_numpy(value)
        for key, value in gtpt_goldens.npz('weights_t_human_d32_seed0').items()
        if key != 'meta'
    }
    torch.save(official, tmp_path / 'model_best.pth')
    arch = dict(embed_dims=32, stem_channels=128)
    cfg = make_model(arch=arch)
    cfg['backbone'].update(
        img_size=(256, 192),
        patch_size=(4, 3),
        keypoint_groups=[
            dict(sparse=range(0, 5), parts=[range(23, 91)]),
            dict(sparse=range(5, 11), parts=[range(91, 112), range(112, 133)]),
            dict(sparse=range(11, 17), parts=[range(17, 20), range(20, 23)]),
        ],
    )
    cfg['head'].update(
        in_channels=32,
        out_channels=133,
        decoder=CODEC | dict(input_size=(192, 256)),
    )
    model = MODELS.build(cfg)
    found = load_body_weights(model, tmp_path / 'model_best.pth')
    assert found.new == NEW
    assert not found.left_out

    state, checked, table = model.state_dict(), set(), gtpt_names()
    for target, source in golden['source'].items():
        name = table.native(target.removeprefix('ema_'))
        if name is None:  # position table and masks: not in our checkpoints
            continue
        checked.add(name)
        if source == 'fresh':
            assert name in found.new
        else:
            assert torch.equal(state[name], official[source]), name
    assert checked == set(state)

    # Our own layout of the same file, and back.
    ours = convert_gtpt(official)
    torch.save(dict(state_dict=ours), tmp_path / 'ours.pth')
    torch.save(
        {f'module.{k}': v for k, v in export_gtpt(ours).items()},
        tmp_path / 'wrapped.pth',
    )
    for name in ('ours.pth', 'wrapped.pth'):
        again = MODELS.build(cfg)
        assert load_body_weights(again, tmp_path / name) == found
        for key in ours:
            assert torch.equal(again.state_dict()[key], state[key]), key


def test_incomplete_authors_checkpoint_is_named(gtpt_goldens, tmp_path):
    official = gtpt_goldens.npz('weights_t_human_d32_seed0')
    half = {
        key: torch.from_numpy(value)
        for key, value in official.items()
        if key != 'meta' and not key.startswith('ema_')
    }
    torch.save(half, tmp_path / 'trained_half.pth')
    init_default_scope('mmpose')
    with pytest.raises(ValueError, match="trained_half.*'ema'"):
        load_body_weights(
            MODELS.build(make_model()), tmp_path / 'trained_half.pth'
        )
