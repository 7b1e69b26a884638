_base_ = './td-hm_hevitpose-b_2xb32-210e_coco-256x192.py'
model = dict(backbone=dict(arch='small'), head=dict(in_channels=224))
