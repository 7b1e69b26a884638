_base_ = './td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py'
model = dict(backbone=dict(arch='tiny'), head=dict(in_channels=192))
