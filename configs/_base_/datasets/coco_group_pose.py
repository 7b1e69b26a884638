# COCO keypoints, whole images: short side 480 to 800, long side at most 1333.
_base_ = './coco_bottomup.py'

codec = dict(type='GroupPoseLabel')
# mmpose's skeleton, which it finds in its own package.
metainfo_file = 'configs/_base_/datasets/coco.py'

train_resize = dict(
    type='GroupPoseResize',
    short_sides=[480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800],
    max_long_side=1333)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GroupPoseFlip'),
    dict(
        type='RandomChoice',
        prob=[0.5, 0.5],
        transforms=[
            [train_resize],
            [
                dict(
                    type='GroupPoseResizedCrop',
                    short_sides=[400, 500, 600],
                    min_size=384,
                    max_size=600),
                train_resize,
            ],
        ]),
    dict(type='GenerateTarget', encoder=codec),
    dict(
        type='PackImage',
        meta_keys=('id', 'img_id', 'img_path', 'ori_shape', 'img_shape',
                   'input_size', 'input_center', 'input_scale', 'flip',
                   'flip_direction', 'flip_indices')),
]
del train_resize
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GroupPoseResize', short_sides=[800], max_long_side=1333),
    # Without category_id: CocoMetric would write the array of all people's
    # into each result.
    dict(
        type='PackImage',
        meta_keys=('id', 'img_id', 'img_path', 'ori_shape', 'img_shape',
                   'input_size', 'input_center', 'input_scale',
                   'flip_indices')),
]

train_dataloader = dict(
    batch_size=2,
    dataset=dict(type='CocoPeopleDataset', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
