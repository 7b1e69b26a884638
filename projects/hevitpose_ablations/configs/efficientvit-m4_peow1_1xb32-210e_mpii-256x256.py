# EfficientViT-M4 as the paper's baseline: conv(3,2), conv(3,2).
_base_ = [
    '../../../configs/body_2d_keypoint/hevitpose/mpii/td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'
]
model = dict(
    backbone=dict(
        _delete_=True,
        type='EfficientViT',
        arch='m4',
        patch_embed=dict(overlap_width=1, strides=(2, 2))))
