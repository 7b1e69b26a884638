# A fourth set for the trained model: its experts and its head are trained on
# 86 people of COCO; all four are tested.
_base_ = './vitpose-plus-tiny_1xb48-14e_three-sets-96x96.py'

dataset_names = [*_base_.dataset_names, 'coco']
model = dict(
    backbone=dict(experts=dict(num_experts=4)),
    head=dict(
        names=dataset_names,
        heads=dict(coco=dict(out_channels=17, decoder=_base_.codec))))
custom_hooks = [
    dict(
        type='FreezeHook', trainable=['backbone.experts.3', 'head.coco']),
    dict(type='ProcessorTimeHook')
]
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        names=dataset_names,
        sample_ratio_factor=dict(_delete_=True, coco=_base_.ratios.coco),
        datasets=dict(_delete_=True, coco=_base_.train_sets.coco)))
val_dataloader = dict(
    dataset=dict(
        names=dataset_names, datasets=dict(coco=_base_.val_sets.coco)))
test_dataloader = val_dataloader
val_evaluator = dict(
    names=dataset_names, metrics=dict(coco=_base_.pck))
test_evaluator = val_evaluator
