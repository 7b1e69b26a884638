# Sample data at 96x64 with SimCC targets: small enough for two CPU cores.
_base_ = './sample_coco_topdown.py'

codec = dict(
    type='UnroundedSimCCLabel',
    input_size=(64, 96),
    sigma=4.0,
    simcc_split_ratio=2.0)

train_pipeline = [
    dict(type='LoadImage'), dict(type='GetBBoxCenterScale', padding=1.25),
    # Gentle: in so short a run strong augmentation costs more than it brings.
    dict(
        type='ClippedRandomBBoxTransform',
        scale_sigma=0.08,
        rotate_sigma=6.0,
        rotate_prob=0.5),
    dict(type='RandomFlip', direction='horizontal', prob=0.5),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'), dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs')
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
# 0.01 of the official code is a density; scores are shares of the peak of the
# target, 1 / (sigma sqrt(2 pi)).
val_evaluator = dict(
    keypoint_score_thr=0.01 * codec['sigma'] * 6.283185307**0.5)
test_evaluator = val_evaluator
