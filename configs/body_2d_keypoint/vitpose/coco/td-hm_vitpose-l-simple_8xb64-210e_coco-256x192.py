_base_ = './td-hm_vitpose-s-simple_8xb64-210e_coco-256x192.py'

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.5),
    head=dict(in_channels=1024))
