# HEViTPose-T on small crops of drawn people, in minutes on one CPU core.
# gtpt-mm sample-data data/sample --layout coco mpii --num-train 1500 \
#     --num-val 200 --difficulty easy --max-people 1
_base_ = [
    '../../../_base_/models/hevitpose_mpii.py',
    '../../../_base_/schedules/adam_6e.py',
    '../../../_base_/datasets/sample_mpii_heatmap_128x128.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(arch='tiny'),
    head=dict(in_channels=192, decoder=_base_.codec))
