_base_ = [
    '../../../configs/body_2d_keypoint/hevitpose/mpii/td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'
]
model = dict(backbone=dict(sr_ratios=(16, 8, 4)))
