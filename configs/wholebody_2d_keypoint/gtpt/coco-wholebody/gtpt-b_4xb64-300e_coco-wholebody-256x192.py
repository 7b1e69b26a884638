_base_ = './gtpt-t_4xb64-300e_coco-wholebody-256x192.py'

model = dict(backbone=dict(arch='base'), head=dict(in_channels=192))
