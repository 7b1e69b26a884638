# A slim Group Pose on whole pictures of one person each.
_base_ = [
    '../../../configs/_base_/models/group_pose_tiny.py',
    '../../../configs/_base_/schedules/adamw_20e.py',
    '../../../configs/_base_/datasets/sample_coco_group_pose.py',
]

custom_imports = dict(
    imports=[
        'gtpt_mm', 'projects.photographs.models',
        'projects.group_pose_ablations.models'
    ],
    allow_failed_imports=False)
metainfo_file = 'configs/_base_/datasets/crowdpose.py'
data_root = '../shared/data/sets/lspet_sub/'
files = dict(
    type='CocoPeopleDataset',
    data_root=data_root,
    data_prefix=dict(img='images/'),
    metainfo=dict(from_file=metainfo_file))
model = dict(
    data_preprocessor=_base_.data_preprocessor,
    head=dict(metainfo=metainfo_file))
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(**files, ann_file='train.json'))
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(**files, ann_file='val.json'))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=4, val_interval=2)
custom_hooks = [dict(type='ProcessorTimeHook')]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
