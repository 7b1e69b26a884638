_base_ = [
    '../../../../configs/body_2d_keypoint/topdown_heatmap/sample/td-hm_hevitpose-t_1xb16-6e_sample-mpii-128x128.py'
]
model = dict(
    backbone=dict(patch_embed=dict(overlap_width=1, strides=(2, 2))))
