"""Five keypoints of drawn people in a CSV file, for a CPU.

python projects/plugin_example/draw.py data/five_points
"""

_base_ = ['mmpose::_base_/default_runtime.py']
custom_imports = dict(imports=['my_pose'], allow_failed_imports=False)

codec = dict(type='CenteredLabel', input_size=(64, 96))  # (w, h)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(type='PooledConvs', channels=(16, 32, 64), grid_size=(6, 4)),
    head=dict(
        type='RegressionHead',
        in_channels=64 * 6 * 4,
        num_joints=5,
        loss=dict(type='L1Loss', use_target_weight=True),
        decoder=codec,
    ),
    # The head mirrors labels in [0, 1]; those of this codec are offsets.
    test_cfg=dict(flip_test=False),
)

val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]
train_pipeline = [
    *val_pipeline[:2],
    dict(type='RandomFlip'),
    val_pipeline[2],
    dict(type='GenerateTarget', encoder=codec),
    val_pipeline[3],
]
data_root = 'data/five_points/'
files = dict(
    type='CsvPoseDataset', data_root=data_root, data_prefix=dict(img='')
)
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**files, ann_file='train.csv', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **files, ann_file='val.csv', pipeline=val_pipeline, test_mode=True
    ),
)
test_dataloader = val_dataloader
del files
val_evaluator = dict(type='PCKAccuracy', thr=0.1)
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=20)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=20)]
default_hooks = dict(checkpoint=dict(interval=20))
