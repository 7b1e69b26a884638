# The fourth set alone, all weights from random ones, as many steps.
_base_ = './vitpose-plus-tiny_add-coco_1xb16-14e_three-sets-96x96.py'

custom_hooks = [
    dict(type='CosineEMAHook', momentum=0.02),
    dict(type='ProcessorTimeHook')
]
val_dataloader = dict(
    dataset=dict(datasets=dict(_delete_=True, coco=_base_.val_sets.coco)))
test_dataloader = val_dataloader
val_evaluator = dict(metrics=dict(_delete_=True, coco=_base_.pck))
test_evaluator = val_evaluator
