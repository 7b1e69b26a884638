_base_ = './td-hm_vitpose-s-simple_8xb64-210e_coco-256x192.py'

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.3), head=dict(in_channels=768))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
