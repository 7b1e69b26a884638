# A small Group Pose on drawn people, from random weights, for a CPU.
# gtpt-mm sample-data data/group_pose --layout coco crowdpose \
#     --num-train 1500 --num-val 150 --difficulty easy --max-people 3 \
#     --image-size 192 160
_base_ = [
    '../../../_base_/models/group_pose_tiny.py',
    '../../../_base_/schedules/adamw_20e.py',
    '../../../_base_/datasets/sample_crowdpose_group_pose.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    head=dict(metainfo=_base_.metainfo_file))
