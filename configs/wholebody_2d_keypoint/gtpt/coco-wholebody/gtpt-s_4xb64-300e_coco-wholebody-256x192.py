_base_ = './gtpt-t_4xb64-300e_coco-wholebody-256x192.py'

model = dict(backbone=dict(arch='small'), head=dict(in_channels=192))
