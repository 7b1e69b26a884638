# A small masked autoencoder on drawn people and a CPU.
# gtpt-mm sample-data data/demo --layout coco --num-train 2000 --num-val 200
_base_ = [
    '../../../_base_/models/mae_vit.py',
    '../../../_base_/schedules/mae_1600e.py',
    '../../../_base_/datasets/sample_mae_crop_64x64.py',
]

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=192,
            num_layers=6,
            num_heads=6,
            feedforward_channels=768),
        img_size=64),
    neck=dict(
        num_patches=4 * 4,
        embed_dim=192,
        decoder_embed_dim=96,
        decoder_depth=2,
        decoder_num_heads=3))

train_cfg = dict(max_epochs=10)
optim_wrapper = dict(
    _delete_=True, optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=50, by_epoch=False)
]
default_hooks = dict(
    logger=dict(interval=25), checkpoint=dict(interval=5))
