# Sample data at 128x128 for associative embedding; heatmaps of 1/2.
_base_ = './coco_ae_512x512.py'

codec = dict(
    _base_.codec, input_size=(128, 128), heatmap_size=(64, 64), sigma=1)
# The test reads heatmaps that were resized to the input.
decoder = dict(codec, heatmap_size=codec['input_size'])

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='BottomupRandomAffine', input_size=codec['input_size']),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='CrowdHeatmapMask'),
    dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'),
    # Not with use_udp: that loses the borders it adds.
    dict(
        type='BottomupResize',
        input_size=codec['input_size'],
        size_factor=32,
        resize_mode='expand'),
    _base_.val_pipeline[-1]  # PackPoseInputs with its meta_keys
]

data_root = 'data/demo/coco/'
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=2, dataset=dict(data_root=data_root, pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=data_root + 'annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator
