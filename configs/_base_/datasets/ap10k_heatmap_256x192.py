# AP-10K at 256x192 without UDP, as ViTPose trains it: boxes of the
# annotations, the first split; tested on its test part.
_base_ = './default_loaders.py'

codec = dict(
    type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)

train_pipeline = [
    dict(type='LoadImage'), dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'), dict(type='RandomBBoxTransform'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'), dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs')
]

data_root = 'data/ap10k/'
# MMPoseInferencer reads these two.
dataset_type = 'AP10KDataset'
data_mode = 'topdown'
files = dict(
    type=dataset_type,
    data_root=data_root,
    data_mode=data_mode,
    data_prefix=dict(img='data/'))
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        **files,
        ann_file='annotations/ap10k-train-split1.json',
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        **files,
        ann_file='annotations/ap10k-val-split1.json',
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = dict(
    dataset=dict(
        val_dataloader['dataset'],
        ann_file='annotations/ap10k-test-split1.json'))
del files

val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/ap10k-val-split1.json')
test_evaluator = dict(
    val_evaluator,
    ann_file=data_root + 'annotations/ap10k-test-split1.json')
best_checkpoint = dict(save_best='coco/AP', rule='greater')
