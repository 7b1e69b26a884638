_base_ = [
    '../../../_base_/models/vitpose_coco.py',
    '../../../_base_/schedules/adamw_210e.py',
    '../../../_base_/datasets/coco_udp_384x384.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        arch='base',
        img_size=_base_.codec.input_size[::-1],
        drop_path_rate=0.3),
    head=dict(in_channels=768, decoder=_base_.codec))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))

default_hooks = dict(checkpoint=_base_.best_checkpoint)
