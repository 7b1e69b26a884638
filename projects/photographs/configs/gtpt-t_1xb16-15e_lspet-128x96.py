# GTPT-T by the recipe for small sets (docs/models/gtpt.md).
_base_ = [
    '../../../configs/_base_/models/gtpt_small_set.py',
    './_base_/lspet_gtpt.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        img_size=_base_.codec.input_size[::-1],
        keypoint_groups=[
            dict(sparse=list(range(0, 6))),  # arms
            dict(sparse=list(range(6, 12))),  # legs
            dict(sparse=[12, 13]),  # head
        ]),
    head=dict(out_channels=14, decoder=_base_.codec))
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3, betas=(0.9, 0.95)))
