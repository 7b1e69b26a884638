_base_ = './td-hm_vitpose-s_8xb64-210e_ap10k-256x192.py'

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.5),
    head=dict(in_channels=1024))
