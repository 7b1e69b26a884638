# The people of COCO and AI Challenger, cropped, without their labels.
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='CropBBox'),
    dict(
        type='mmpretrain.RandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.2, 1.0),
        backend='pillow',
        interpolation='bicubic'),
    dict(type='mmengine.RandomFlip', prob=0.5),
    dict(type='mmpretrain.PackInputs')
]

train_dataloader = dict(
    batch_size=512,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[
            dict(
                type='CocoDataset',
                data_root='data/coco/',
                data_mode='topdown',
                ann_file='annotations/person_keypoints_train2017.json',
                data_prefix=dict(img='train2017/')),
            dict(
                type='AicDataset',
                data_root='data/aic/',
                data_mode='topdown',
                ann_file='annotations/aic_train.json',
                data_prefix=dict(
                    img='ai_challenger_keypoint_train_20170902/'
                    'keypoint_train_images_20170902/')),
        ],
        pipeline=train_pipeline))
