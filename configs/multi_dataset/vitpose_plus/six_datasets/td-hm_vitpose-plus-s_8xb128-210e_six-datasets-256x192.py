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
        heads={
            name: dict(decoder=codec)
            for name, codec in _base_.codecs.items()
        }))

optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=1024)
default_hooks = dict(checkpoint=_base_.best_checkpoint)

# Each sample with the skeleton of its dataset.
visualizer = dict(type='MultiDatasetVisualizer')
