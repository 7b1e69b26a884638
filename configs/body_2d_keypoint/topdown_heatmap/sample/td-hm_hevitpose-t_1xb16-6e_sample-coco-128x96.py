# HEViTPose-T on small crops of drawn people, in minutes on one CPU core.
# gtpt-mm sample-data data/sample --layout coco mpii --num-train 1500 \
#     --num-val 200 --difficulty easy --max-people 1
_base_ = [
    '../../../_base_/default_runtime.py',
    '../../../_base_/datasets/sample_coco_heatmap_128x96.py',
]

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='HEViTPose', arch='tiny'),
    head=dict(
        type='HeatmapHead',
        in_channels=192,
        out_channels=17,
        deconv_out_channels=(192, 96),
        deconv_kernel_sizes=(4, 4),
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=_base_.codec),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))

train_cfg = dict(by_epoch=True, max_epochs=6, val_interval=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=100, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        T_max=6,
        eta_min=1e-5,
        by_epoch=True,
        convert_to_iter_based=True)
]
randomness = dict(seed=42)
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=1, max_keep_ckpts=2))
