# ViTPose from random weights on small crops.
_base_ = './short_run.py'

train_cfg = dict(max_epochs=14)
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1),
    constructor='BackboneLayerDecayOptimWrapperConstructor',
    # Nothing is pretrained, so the first layers must learn as well.
    paramwise_cfg=dict(layer_decay_rate=1.0),
    clip_grad=dict(max_norm=1.0, norm_type=2))
