"""A small GTPT of eight keypoints, its data and its runner."""

import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.registry import KEYPOINT_CODECS
from mmpose.structures import PoseDataSample

CODEC = dict(type='UnroundedSimCCLabel', input_size=(64, 96), sigma=4.0)
#: Eight keypoints: 5 to 7 are dense ones of the second group.
WHOLE_BODY = [dict(sparse=[0, 1, 2]), dict(sparse=[3, 4], parts=[[5, 6, 7]])]
BODY = [dict(sparse=[0, 1, 2]), dict(sparse=[3, 4])]
#: What the body model lacks.
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


class Instances(torch.utils.data.Dataset):
    """Noise with keypoints: all that a loss needs, the same every time."""

    METAINFO = metainfo = {}

    def __init__(self, num_instances=6, num_keypoints=8):
        generator = torch.Generator().manual_seed(7)
        codec = KEYPOINT_CODECS.build(CODEC)
        self.samples = []
        for _ in range(num_instances):
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


def make_runner(
    work_dir, hook=None, *, epochs=4, model=None, ema=None, **kwargs
):
    init_default_scope('mmpose')
    make_runner.count += 1
    model = model or make_model()
    hooks = [hook] if hook else []
    if ema is not False:
        options = dict(momentum=0.5, min_windows=0) | (ema or {})
        hooks.append(dict(type='CosineEMAHook', **options))
    return Runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=Instances(num_keypoints=model['head']['out_channels']),
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
        experiment_name=f'whole_body_{make_runner.count}',
        **kwargs,
    )


make_runner.count = 0


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
