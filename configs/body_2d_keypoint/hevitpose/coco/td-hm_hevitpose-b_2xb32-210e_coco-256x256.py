_base_ = [
    '../../../_base_/models/hevitpose_coco.py',
    '../../../_base_/schedules/adam_210e.py',
    '../../../_base_/datasets/coco_heatmap_256x256.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    head=dict(decoder=_base_.codec))

default_hooks = dict(checkpoint=_base_.best_checkpoint)
auto_scale_lr = dict(base_batch_size=64)
