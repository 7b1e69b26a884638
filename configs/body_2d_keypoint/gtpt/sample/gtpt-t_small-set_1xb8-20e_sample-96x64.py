# GTPT-T on a few hundred small crops: the recipe for small sets. Point it at
# annotations, pictures, metainfo and keypoint groups of your own.
_base_ = [
    '../../../_base_/models/gtpt_small_set.py',
    '../../../_base_/schedules/adam_small_set.py',
    '../../../_base_/datasets/sample_simcc_96x64.py',
]

# Many small steps: what holds a short run back is their number.
train_dataloader = dict(batch_size=8)

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        img_size=_base_.codec.input_size[::-1],
        patch_size=(4, 4)),  # 6 x 4 tokens
    head=dict(decoder=_base_.codec))
