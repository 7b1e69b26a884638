_base_ = './hevitpose-t_1xb16-3e_sample-mpii-128x128.py'
model = dict(backbone=dict(attention=dict(cascade_normed=False)))
