# A tiny ViTPose++ from random weights on small crops of drawn figures.
# gtpt-mm sample-data data/sample --num-train 300 --num-val 30 \
#     --layout coco coco-wholebody mpii aic ap10k apt36k \
#     --difficulty easy --max-people 1
_base_ = [
    '../../../_base_/models/vitpose_plus_six_datasets.py',
    '../../../_base_/schedules/adamw_14e.py',
    '../../../_base_/datasets/sample_six_datasets_96x64.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=96, depth=4, num_heads=4),
        img_size=_base_.input_size[::-1]),  # 6 x 4 tokens
    head=dict(
        names=_base_.dataset_names,
        shared=dict(in_channels=96, deconv_out_channels=(64, 64)),
        heads={
            name: dict(decoder=codec)
            for name, codec in _base_.codecs.items()
        }))

# Each sample with the skeleton of its dataset.
visualizer = dict(type='MultiDatasetVisualizer')
