# GTPT-T with 133 keypoints on small crops of drawn people: the recipe of the
# demo, small enough for CPU cores.
# gtpt-mm sample-data data/sample --layout coco coco-wholebody
_base_ = [
    '../../../_base_/models/gtpt_coco_wholebody.py',
    '../../../_base_/schedules/adam_14e.py',
    '../../../_base_/datasets/sample_wholebody_simcc_96x64.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        img_size=_base_.codec.input_size[::-1],
        # 12 x 16 tokens of 8 x 4 pixels. The last quarter must keep more rows
        # than the 68 of the face: 76 of 192 here, 76 of 256 at 256x192.
        patch_size=(2, 1),
        keep_rates=(1.0, 0.7, 0.5, 0.4),
        # A short run must leave the mean pose early; the COCO recipe keeps
        # the authors' initialisation.
        qk_init_gain=3.0,
        init_cfg=dict(type='Kaiming', layer='Conv2d')),
    head=dict(decoder=_base_.codec))
