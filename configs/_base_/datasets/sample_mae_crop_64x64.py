# Drawn people, cropped, without their labels.
_base_ = './coco_mae_crop_224x224.py'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='CropBBox'),
    dict(
        type='mmpretrain.RandomResizedCrop',
        scale=64,
        crop_ratio_range=(0.2, 1.0),
        backend='pillow',
        interpolation='bicubic'),
    dict(type='mmengine.RandomFlip', prob=0.5),
    dict(type='mmpretrain.PackInputs')
]

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(data_root='data/demo/coco/', pipeline=train_pipeline))
