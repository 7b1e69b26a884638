# Two 3x3 convolutions of stride 2 in place of one 7x7 of stride 4.
_base_ = './hevitpose-t_1xb16-15e_lspet-128x96.py'

model = dict(
    backbone=dict(patch_embed=dict(overlap_width=1, strides=(2, 2))))
