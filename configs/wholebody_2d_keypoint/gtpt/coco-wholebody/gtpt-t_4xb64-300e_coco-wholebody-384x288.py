# 24 x 24 patches of the same 16 x 12 pixels. The paper has no such model.
_base_ = [
    '../../../_base_/models/gtpt_coco_wholebody.py',
    '../../../_base_/schedules/adam_300e.py',
    '../../../_base_/datasets/coco_wholebody_simcc_384x288.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(img_size=_base_.codec.input_size[::-1]),
    head=dict(decoder=_base_.codec))

default_hooks = dict(checkpoint=_base_.best_checkpoint)
