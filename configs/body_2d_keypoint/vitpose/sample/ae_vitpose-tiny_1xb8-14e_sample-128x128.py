# A small ViTPose from whole images of drawn people.
# gtpt-mm sample-data data/demo --layout coco --num-train 2000 --num-val 200
_base_ = [
    '../../../_base_/models/vitpose_ae_coco.py',
    '../../../_base_/schedules/adamw_14e.py',
    '../../../_base_/datasets/sample_ae_128x128.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        arch=dict(embed_dims=192, depth=6, num_heads=6),
        img_size=_base_.codec.input_size[::-1],
        attention=dict(window_size=(8, 8), shift=True, pool=True)),
    head=dict(
        in_channels=192,
        deconv_out_channels=(64, 64),
        decoder=_base_.decoder))
