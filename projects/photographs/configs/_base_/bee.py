# Bees at 128x128 in every direction, 166 to train on, with targets of GTPT.
_base_ = './lspet.py'

data_root = '../shared/data/sets/bee/'
codec = dict(
    type='UnroundedSimCCLabel',
    input_size=(128, 128),
    sigma=4.0,
    simcc_split_ratio=2.0)
crop = dict(type='TopdownAffine', input_size=codec['input_size'])
pack = dict(type='PackPoseInputs')
files = dict(
    data_root=data_root,
    metainfo=dict(
        from_file='projects/photographs/configs/_base_/bee_keypoints.py'))
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        **files,
        pipeline=[
            *_base_.load,
            dict(type='RandomFlip', direction='horizontal'),
            dict(
                type='RandomBBoxTransform',
                scale_factor=(0.75, 1.25),
                rotate_factor=180.0,
                rotate_prob=1.0),
            crop,
            dict(type='GenerateTarget', encoder=codec),
            pack
        ]))
val_dataloader = dict(
    dataset=dict(**files, pipeline=[*_base_.load, crop, pack]))
test_dataloader = val_dataloader
val_evaluator = [
    dict(
        type='CocoMetric',
        ann_file=data_root + 'val.json',
        keypoint_score_thr=0.0),
    dict(type='PCKAccuracy', thr=0.05, prefix='at_0.05'),
    dict(type='PCKAccuracy', thr=0.1, prefix='at_0.1')
]
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=30, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=32, by_epoch=False),
    _base_.param_scheduler[1]
]
