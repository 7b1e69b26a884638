_base_ = [
    '../../../_base_/models/vitpose_coco.py',
    '../../../_base_/schedules/adamw_210e.py',
    '../../../_base_/datasets/coco_udp_256x192.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(img_size=_base_.codec.input_size[::-1]),
    head=dict(decoder=_base_.codec))

default_hooks = dict(checkpoint=_base_.best_checkpoint)
