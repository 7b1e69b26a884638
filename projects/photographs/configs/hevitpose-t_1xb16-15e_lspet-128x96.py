_base_ = [
    '../../../configs/_base_/models/hevitpose_coco.py',
    './_base_/lspet_heatmap.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(arch='tiny'),
    head=dict(in_channels=192, out_channels=14, decoder=_base_.codec))
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
