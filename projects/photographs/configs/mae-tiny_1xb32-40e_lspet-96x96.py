# A masked autoencoder of the small ViTPose on the pictures alone.
_base_ = [
    '../../../configs/_base_/models/mae_vit.py',
    './_base_/budget.py',
]

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=192,
            num_layers=6,
            num_heads=6,
            feedforward_channels=768),
        img_size=96),
    neck=dict(
        num_patches=6 * 6,
        embed_dim=192,
        decoder_embed_dim=96,
        decoder_depth=2,
        decoder_num_heads=3))
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CocoDataset',
        data_root='../shared/data/sets/lspet_sub/',
        data_mode='topdown',
        data_prefix=dict(img='images/'),
        metainfo=dict(from_file='configs/_base_/datasets/crowdpose.py'),
        ann_file='train.json',
        pipeline=[
            dict(type='LoadCachedImage'),
            dict(type='CropBBox'),
            dict(
                type='mmpretrain.RandomResizedCrop',
                scale=96,
                crop_ratio_range=(0.2, 1.0),
                backend='pillow',
                interpolation='bicubic'),
            dict(type='mmengine.RandomFlip', prob=0.5),
            dict(type='mmpretrain.PackInputs')
        ]))
val_cfg = None
test_cfg = None
train_cfg = dict(max_epochs=40)
optim_wrapper = dict(
    optimizer=dict(
        type='AdamW', lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05))
custom_hooks = [dict(type='ProcessorTimeHook')]
