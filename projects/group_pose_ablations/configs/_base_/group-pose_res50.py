# The recipe of the paper; the models of this project are imported.
_base_ = (
    '../../../../configs/body_2d_keypoint/group_pose/coco/'
    'group-pose_res50_8xb2-60e_coco-800x1333.py')

custom_imports = dict(
    imports=['gtpt_mm', 'projects.group_pose_ablations.models'])
