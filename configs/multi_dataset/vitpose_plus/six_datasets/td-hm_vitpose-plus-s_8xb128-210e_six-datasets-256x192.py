_base_ = [
    '../../../_base_/models/vitpose_plus_six_datasets.py',
    '../../../_base_/schedules/adamw_210e.py',
    '../../../_base_/datasets/six_datasets_256x192.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(img_size=_base_.input_size[::-1]),
    head=dict(
        names=_base_.dataset_names,
        heads=dict(
            coco=dict(decoder=_base_.udp_codec),
            aic=dict(decoder=_base_.msra_codec),
            mpii=dict(decoder=_base_.udp_codec),
            ap10k=dict(decoder=_base_.msra_codec),
            apt36k=dict(decoder=_base_.msra_codec),
            wholebody=dict(decoder=_base_.msra_codec))))

optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=1024)
default_hooks = dict(checkpoint=dict(save_best='coco/AP', rule='greater'))

# Each sample with the skeleton of its dataset.
visualizer = dict(type='MultiDatasetVisualizer')
