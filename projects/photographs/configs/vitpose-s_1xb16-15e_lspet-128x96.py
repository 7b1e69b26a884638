_base_ = [
    '../../../configs/_base_/models/vitpose_coco.py',
    './_base_/lspet_udp.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(img_size=_base_.codec.input_size[::-1]),
    head=dict(out_channels=14, decoder=_base_.codec))
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1),
    clip_grad=dict(max_norm=1.0, norm_type=2))
