_base_ = './td-hm_vitpose-plus-s_8xb128-210e_six-datasets-256x192.py'

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.3),
    head=dict(shared=dict(in_channels=768)))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
