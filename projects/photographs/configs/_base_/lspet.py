# People in sport at 128x96: 1,900 to train on, 336 to validate on. One
# augmentation for all; codec and crop come from the file of a codec.
_base_ = './budget.py'

data_root = '../shared/data/sets/lspet_sub/'
input_size = (96, 128)  # (w, h)
load = [dict(type='LoadCachedImage'), dict(type='GetBBoxCenterScale')]
augmentation = [
    *load,
    dict(type='RandomFlip', direction='horizontal'),
    dict(
        type='RandomBBoxTransform',
        scale_factor=(0.75, 1.25),
        rotate_factor=40.0),
]

data_preprocessor = dict(
    type='PoseDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True)
files = dict(
    type='CocoDataset',
    data_root=data_root,
    data_mode='topdown',
    data_prefix=dict(img='images/'),
    metainfo=dict(from_file='configs/_base_/datasets/crowdpose.py'))
# No workers: the pictures are in memory, the crops are small.
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**files, ann_file='train.json'))
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(**files, ann_file='val.json', test_mode=True))
test_dataloader = val_dataloader

# PCK by the longer side of the box. Twelve limb joints: networks of COCO's
# keypoints have them as well. All keypoints give the score of a pose.
val_evaluator = [
    dict(
        type='CocoMetric',
        ann_file=data_root + 'val.json',
        keypoint_score_thr=0.0),
    dict(type='PCKAccuracy', thr=0.05, prefix='at_0.05'),
    dict(type='PCKAccuracy', thr=0.1, prefix='at_0.1'),
    dict(
        type='SubsetPCK',
        indices=list(range(12)),
        thr=0.1,
        prefix='limbs_at_0.1')
]
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=15, val_interval=3)
