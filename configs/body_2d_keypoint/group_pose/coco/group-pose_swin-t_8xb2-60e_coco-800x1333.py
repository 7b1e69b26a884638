# Group Pose with Swin-T on COCO: 16 images a step on 8 devices.
_base_ = [
    '../../../_base_/models/group_pose_swin-t.py',
    '../../../_base_/schedules/adamw_60e.py',
    '../../../_base_/datasets/coco_group_pose.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    head=dict(metainfo=_base_.metainfo_file))
default_hooks = dict(checkpoint=_base_.best_checkpoint)
