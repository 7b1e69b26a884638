# What `make demo` trains: GTPT-T on small crops of drawn people who stand or
# walk and face the viewer, in minutes on two CPU cores.
# gtpt-mm sample-data data/demo --layout coco --num-train 2000 --num-val 200 \
#     --difficulty easy --max-people 1
_base_ = [
    '../../../_base_/default_runtime.py',
    '../../../_base_/datasets/sample_simcc_96x64.py',
]

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type='GTPT',
        arch='tiny',
        img_size=_base_.codec.input_size[::-1],
        patch_size=(4, 4),  # 6 x 4 tokens
        keep_rates=(1.0, 0.7, 0.5, 0.3),
        # A short run must leave the mean pose early; the COCO recipe keeps
        # the authors' initialisation.
        qk_init_gain=3.0,
        init_cfg=dict(type='Kaiming', layer='Conv2d')),
    head=dict(
        type='GTPTHead',
        in_channels=128,
        out_channels=17,
        decoder=_base_.codec,
        loss=dict(type='GlobalPerceivedLoss')),
    test_cfg=dict(flip_test=True, shift_heatmap=True))

train_cfg = dict(by_epoch=True, max_epochs=14, val_interval=2)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=100, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        T_max=14,
        eta_min=1e-5,
        by_epoch=True,
        convert_to_iter_based=True)
]
randomness = dict(seed=42)
default_hooks = dict(
    logger=dict(interval=25), checkpoint=dict(interval=1, max_keep_ckpts=2))
custom_hooks = [
    # A short run: the average must follow faster than over 300 epochs.
    dict(type='CosineEMAHook', total_epochs=14, momentum=0.02)
]
