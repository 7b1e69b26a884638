_base_ = './td-hm_vitpose-b_8xb64-210e_coco-256x192.py'

model = dict(
    head=dict(
        _delete_=True,
        type='PixelShuffleHead',
        in_channels=768,
        out_channels=17,
        decoder=_base_.codec))
