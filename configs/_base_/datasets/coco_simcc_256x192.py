# COCO keypoints at 256x192 with SimCC targets, as GTPT trains.
_base_ = './coco_topdown.py'

codec = dict(
    type='UnroundedSimCCLabel',
    input_size=(192, 256),
    sigma=4.0,
    simcc_split_ratio=2.0)

train_pipeline = [
    dict(type='LoadImage'), dict(type='GetBBoxCenterScale', padding=1.25),
    dict(
        type='RandomHalfBody',
        min_total_keypoints=9,
        min_upper_keypoints=3,
        min_lower_keypoints=3,
        padding=1.5,
        prob=0.3,
        # The official code draws randn() < 0.5 for rand() < 0.5.
        upper_prioritized_prob=0.69),
    dict(
        type='ClippedRandomBBoxTransform',
        scale_sigma=0.35,
        rotate_sigma=45.0,
        rotate_prob=0.6),
    dict(type='RandomFlip', direction='horizontal', prob=0.5),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'), dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs')
]

train_dataloader = dict(num_workers=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=2, dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
# 0.01 of the official code is a density; scores are shares of the peak of the
# target, 1 / (sigma sqrt(2 pi)).
val_evaluator = dict(
    keypoint_score_thr=0.01 * codec['sigma'] * 6.283185307**0.5)
test_evaluator = val_evaluator
