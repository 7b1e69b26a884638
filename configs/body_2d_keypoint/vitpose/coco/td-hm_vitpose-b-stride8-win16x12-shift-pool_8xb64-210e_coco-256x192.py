_base_ = './td-hm_vitpose-b-stride8_8xb64-210e_coco-256x192.py'

model = dict(
    backbone=dict(
        attention=dict(window_size=(16, 12), shift=True, pool=True)))
