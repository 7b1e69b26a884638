_base_ = './td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'
model = dict(backbone=dict(arch='small'), head=dict(in_channels=224))
