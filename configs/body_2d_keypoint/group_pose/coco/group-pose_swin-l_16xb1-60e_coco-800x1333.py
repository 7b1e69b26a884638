# Group Pose with Swin-L on COCO: 16 images a step on 16 devices.
_base_ = [
    '../../../_base_/models/group_pose_swin-l.py',
    '../../../_base_/schedules/adamw_60e.py',
    '../../../_base_/datasets/coco_group_pose.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    head=dict(metainfo=_base_.metainfo_file))
train_dataloader = dict(batch_size=1)
default_hooks = dict(checkpoint=_base_.best_checkpoint)
