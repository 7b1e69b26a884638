# ViTPose-B from whole images: features of 1/8, attention in windows, keypoints
# grouped by associative embedding.
_base_ = [
    '../../../_base_/models/vitpose_ae_coco.py',
    '../../../_base_/schedules/adamw_300e.py',
    '../../../_base_/datasets/coco_ae_512x512.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        arch='base',
        img_size=_base_.codec.input_size[::-1],
        attention=dict(window_size=(16, 16), shift=True, pool=True),
        drop_path_rate=0.3),
    head=dict(in_channels=768, decoder=_base_.decoder))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))

default_hooks = dict(checkpoint=_base_.best_checkpoint)
