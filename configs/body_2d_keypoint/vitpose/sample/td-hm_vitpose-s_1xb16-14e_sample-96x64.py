# ViTPose-S from random weights on small crops of drawn people.
# gtpt-mm sample-data data/demo --layout coco --num-train 2000 --num-val 200 \
#     --difficulty easy --max-people 1
_base_ = [
    '../../../_base_/models/vitpose_coco.py',
    '../../../_base_/schedules/adamw_14e.py',
    '../../../_base_/datasets/sample_udp_96x64.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(img_size=_base_.codec.input_size[::-1]),  # 6 x 4 tokens
    head=dict(decoder=_base_.codec))
