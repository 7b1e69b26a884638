# One self-attention over all queries, on drawn people.
_base_ = (
    '../../../../configs/body_2d_keypoint/group_pose/sample/'
    'group-pose_res18_1xb8-20e_sample-coco-96x144.py')

custom_imports = dict(
    imports=['gtpt_mm', 'projects.group_pose_ablations.models'])

model = dict(head=dict(decoder=dict(type='StandardAttentionDecoder')))
