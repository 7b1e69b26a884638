# Table 11: ViTPose++-B on three datasets, a quarter of the channels of each
# layer from an expert, as in the paper's final model.
_base_ = '../../../../configs/multi_dataset/vitpose_plus/six_datasets/' \
    'td-hm_vitpose-plus-b_8xb128-210e_six-datasets-256x192.py'

dataset_names = ['coco', 'aic', 'ap10k']

model = dict(
    backbone=dict(experts=dict(num_experts=3)),
    head=dict(
        names=dataset_names,
        heads=dict(
            _delete_=True,
            **{name: _base_.model.head.heads[name]
               for name in dataset_names})),
    test_cfg=dict(
        datasets=dict(
            _delete_=True,
            aic=dict(shift_heatmap=True),
            ap10k=dict(shift_heatmap=True))))

train_dataloader = dict(
    dataset=dict(
        names=dataset_names,
        datasets=dict(
            _delete_=True,
            **{
                name: _base_.train_dataloader.dataset.datasets[name]
                for name in dataset_names
            })))
val_dataloader = dict(
    dataset=dict(
        names=dataset_names,
        datasets=dict(
            _delete_=True,
            **{
                name: _base_.val_dataloader.dataset.datasets[name]
                for name in dataset_names
            })))
test_dataloader = val_dataloader
val_evaluator = dict(
    names=dataset_names,
    metrics=dict(
        _delete_=True,
        **{name: _base_.val_evaluator.metrics[name]
           for name in dataset_names}))
test_evaluator = val_evaluator
