_base_ = './hevitpose-t_1xb16-3e_sample-mpii-128x128.py'
model = dict(backbone=dict(patch_embed=dict(with_act=True)))
