# conv(15,8), deconv(4,2).
_base_ = './efficientvit-m4_peow1_1xb32-210e_mpii-256x256.py'
model = dict(
    backbone=dict(
        patch_embed=dict(overlap_width=7, strides=(8, ), with_upsample=True)))
