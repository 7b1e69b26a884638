# conv(7,4), the patch embedding of HEViTPose.
_base_ = './efficientvit-m4_peow1_1xb32-210e_mpii-256x256.py'
model = dict(
    backbone=dict(patch_embed=dict(overlap_width=3, strides=(4, ))))
