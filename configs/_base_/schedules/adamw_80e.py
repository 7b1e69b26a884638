# Group Pose on CrowdPose: 20 epochs more than on COCO.
_base_ = './adamw_60e.py'

train_cfg = dict(max_epochs=80)
param_scheduler = [
    dict(type='MultiStepLR', milestones=[70], gamma=0.1, by_epoch=True)
]
