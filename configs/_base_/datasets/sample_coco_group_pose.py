# Sample data in COCO's layout, whole images of about 115x96: for a CPU.
_base_ = './coco_group_pose.py'

# No crops: in so short a run strong augmentation costs more than it brings.
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GroupPoseFlip'),
    dict(
        type='GroupPoseResize',
        short_sides=[88, 96, 104],
        max_long_side=144),
    *_base_.train_pipeline[-2:]  # GenerateTarget, PackPoseInputs
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GroupPoseResize', short_sides=[96], max_long_side=144),
    _base_.val_pipeline[-1]  # PackPoseInputs with its meta_keys
]

data_root = 'data/group_pose/coco/'
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=data_root + 'annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator
