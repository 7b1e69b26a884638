# Sample data at 96x64 with unbiased heatmaps: small enough for two CPU cores.
_base_ = './sample_coco_topdown.py'

codec = dict(
    type='UDPHeatmap',
    input_size=(64, 96),
    heatmap_size=(16, 24),
    sigma=1,
    blur_kernel_size=5)

train_pipeline = [
    dict(type='LoadImage'), dict(type='GetBBoxCenterScale'),
    # Gentle: in so short a run strong augmentation costs more than it brings.
    dict(
        type='RandomBBoxTransform',
        shift_prob=0.0,
        scale_factor=(0.85, 1.15),
        rotate_factor=15.0,
        rotate_prob=0.5),
    dict(type='RandomFlip', direction='horizontal', prob=0.5),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'), dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackPoseInputs')
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(keypoint_score_thr=0.01)
test_evaluator = val_evaluator
