# What `make demo` trains: GTPT-T on small crops of drawn people who stand or
# walk and face the viewer, in minutes on two CPU cores.
# gtpt-mm sample-data data/demo --layout coco --num-train 2000 --num-val 200 \
#     --difficulty easy --max-people 1
_base_ = [
    '../../../_base_/models/gtpt_coco.py',
    '../../../_base_/schedules/adam_14e.py',
    '../../../_base_/datasets/sample_simcc_96x64.py',
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        img_size=_base_.codec.input_size[::-1],
        patch_size=(4, 4),  # 6 x 4 tokens
        keep_rates=(1.0, 0.7, 0.5, 0.3),
        # A short run must leave the mean pose early; the COCO recipe keeps
        # the authors' initialisation.
        qk_init_gain=3.0,
        init_cfg=dict(type='Kaiming', layer='Conv2d')),
    head=dict(decoder=_base_.codec))
