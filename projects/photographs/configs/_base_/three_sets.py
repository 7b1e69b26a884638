# People, bees and mice at 96x96. An epoch has 384 samples of each, so that a
# model of three sets takes as many steps, with as many samples of a set, as a
# model of one.
_base_ = './budget.py'

sets = '../shared/data/sets/'
dataset_names = ['lspet', 'bee', 'mouse']
codec = dict(
    type='UDPHeatmap',
    input_size=(96, 96),
    heatmap_size=(24, 24),
    sigma=1.5,
    blur_kernel_size=9)
load = [dict(type='LoadCachedImage'), dict(type='GetBBoxCenterScale')]
crop = dict(
    type='TopdownAffine', input_size=codec['input_size'], use_udp=True)
pack = dict(type='PackPoseInputs')
own = 'projects/photographs/configs/_base_/'
metainfos = dict(
    lspet='configs/_base_/datasets/crowdpose.py',
    bee=own + 'bee_keypoints.py',
    mouse=own + 'mouse_keypoints.py',
    coco='configs/_base_/datasets/coco.py')
folders = dict(
    lspet='lspet_sub', bee='bee', mouse='mirror_mouse', coco='coco_mini')
# One camera, a picture always upright: the mouse is not turned.
rotations = dict(lspet=40.0, bee=180.0, mouse=10.0, coco=40.0)
files = {
    name: dict(
        type='CocoDataset',
        data_root=f'{sets}{folder}/',
        data_mode='topdown',
        data_prefix=dict(img='images/'),
        metainfo=dict(from_file=metainfos[name]))
    for name, folder in folders.items()
}
train_sets = {
    name: dict(
        **files[name],
        ann_file='train.json',
        pipeline=[
            *load,
            dict(type='RandomFlip', direction='horizontal'),
            dict(
                type='RandomBBoxTransform',
                scale_factor=(0.75, 1.25),
                rotate_factor=rotation,
                rotate_prob=1.0),
            crop,
            dict(type='GenerateTarget', encoder=codec),
            pack
        ])
    for name, rotation in rotations.items()
}
val_sets = {
    name: dict(
        **files[name],
        ann_file='val.json',
        test_mode=True,
        pipeline=[*load, crop, pack])
    for name in files
}
# Instances to train on: 1900, 166, 70, 86.
ratios = dict(
    lspet=384 / 1900, bee=384 / 166, mouse=384 / 70, coco=384 / 86)
pck = dict(type='PCKAccuracy', thr=0.1)
metrics = {name: pck for name in files}

data_preprocessor = dict(
    type='PoseDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True)
train_dataloader = dict(
    batch_size=48,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='MultiDataset',
        names=dataset_names,
        sample_ratio_factor={name: ratios[name] for name in dataset_names},
        datasets={name: train_sets[name] for name in dataset_names}))
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='MultiDataset',
        names=dataset_names,
        datasets={name: val_sets[name] for name in dataset_names}))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='PerDatasetEvaluator',
    names=dataset_names,
    metrics={name: pck for name in dataset_names})
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=14, val_interval=14)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=24, by_epoch=False),
    _base_.param_scheduler[1]
]
