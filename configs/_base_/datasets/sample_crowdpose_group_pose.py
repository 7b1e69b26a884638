# Sample data in CrowdPose's layout: codec and pipelines are those of COCO's.
_base_ = './sample_coco_group_pose.py'

data_root = 'data/group_pose/crowdpose/'
# MMPoseInferencer reads it.
dataset_type = 'CrowdPoseDataset'
# mmpose's skeleton, which it finds in its own package.
metainfo_file = 'configs/_base_/datasets/crowdpose.py'
train_dataloader = dict(
    dataset=dict(
        type='CrowdPosePeopleDataset',
        data_root=data_root,
        ann_file='annotations/mmpose_crowdpose_trainval.json',
        data_prefix=dict(img='images/')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mmpose_crowdpose_test.json',
        data_prefix=dict(img='images/')))
test_dataloader = val_dataloader

val_evaluator = dict(
    ann_file=data_root + 'annotations/mmpose_crowdpose_test.json',
    iou_type='keypoints_crowd',
    use_area=False,
    prefix='crowdpose')
test_evaluator = val_evaluator
best_checkpoint = dict(save_best='crowdpose/AP')
