# ViTPose from random weights on small crops: a short warm-up, then a cosine.
_base_ = '../default_runtime.py'

train_cfg = dict(by_epoch=True, max_epochs=14, val_interval=2)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1),
    constructor='BackboneLayerDecayOptimWrapperConstructor',
    # Nothing is pretrained, so the first layers must learn as well.
    paramwise_cfg=dict(layer_decay_rate=1.0),
    clip_grad=dict(max_norm=1.0, norm_type=2))
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
