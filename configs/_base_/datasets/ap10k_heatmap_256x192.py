# AP-10K at 256x192 without UDP, as ViTPose trains it: boxes of the
# annotations, the first split; tested on its test part.
codec = dict(
    type='MSRAHeatmap',
    input_size=(192, 256),
    heatmap_size=(48, 64),
    sigma=2)

data_preprocessor = dict(
    type='PoseDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs')
]

data_root = 'data/ap10k/'
# MMPoseInferencer reads these two.
dataset_type = 'AP10KDataset'
data_mode = 'topdown'
common = dict(
    type=dataset_type,
    data_root=data_root,
    data_mode=data_mode,
    data_prefix=dict(img='data/'))
train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **common,
        ann_file='annotations/ap10k-train-split1.json',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        **common,
        ann_file='annotations/ap10k-val-split1.json',
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        **common,
        ann_file='annotations/ap10k-test-split1.json',
        test_mode=True,
        pipeline=val_pipeline))
del common

val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/ap10k-val-split1.json')
test_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/ap10k-test-split1.json')
