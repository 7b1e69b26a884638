# Table 11: ViTPose++-B on three datasets, a quarter of the channels of each
# layer from an expert, as in the paper's final model.
_base_ = '../../../../configs/multi_dataset/vitpose_plus/six_datasets/' \
    'td-hm_vitpose-plus-b_8xb128-210e_six-datasets-256x192.py'

dataset_names = ['coco', 'aic', 'ap10k']


def chosen(table):
    """Return the entries of the three datasets, to replace the table."""
    kept = {name: table[name] for name in dataset_names if name in table}
    return dict(_delete_=True, **kept)


model = dict(
    backbone=dict(experts=dict(num_experts=3)),
    head=dict(names=dataset_names, heads=chosen(_base_.model.head.heads)),
    test_cfg=dict(datasets=chosen(_base_.model.test_cfg.datasets)))
train_dataloader = dict(
    dataset=dict(
        names=dataset_names,
        datasets=chosen(_base_.train_dataloader.dataset.datasets)))
val_dataloader = dict(
    dataset=dict(
        names=dataset_names,
        datasets=chosen(_base_.val_dataloader.dataset.datasets)))
test_dataloader = val_dataloader
val_evaluator = dict(
    names=dataset_names, metrics=chosen(_base_.val_evaluator.metrics))
test_evaluator = val_evaluator
