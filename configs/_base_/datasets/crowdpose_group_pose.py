# CrowdPose, whole images: short side 480 to 800, long side at most 1333.
codec = dict(type='GroupPoseLabel')

# Images of a batch are padded with zeros at the right and the bottom, after
# they are normalised.
data_preprocessor = dict(
    type='PoseDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True)

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
                dict(type='GroupPoseResize', short_sides=[400, 500, 600]),
                dict(type='GroupPoseCrop', min_size=384, max_size=600),
                train_resize,
            ],
        ]),
    dict(type='GenerateTarget', encoder=codec),
    dict(
        type='PackPoseInputs',
        meta_keys=('id', 'img_id', 'img_path', 'ori_shape', 'img_shape',
                   'input_size', 'input_center', 'input_scale', 'flip',
                   'flip_direction', 'flip_indices')),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GroupPoseResize', short_sides=[800], max_long_side=1333),
    # Without category_id: CocoMetric would write the array of all people's
    # into each result.
    dict(
        type='PackPoseInputs',
        meta_keys=('id', 'img_id', 'img_path', 'ori_shape', 'img_shape',
                   'input_size', 'input_center', 'input_scale',
                   'flip_indices')),
]

data_root = 'data/crowdpose/'
# MMPoseInferencer reads these two.
dataset_type = 'CrowdPoseDataset'
data_mode = 'bottomup'
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CrowdPosePeopleDataset',
        data_root=data_root,
        data_mode=data_mode,
        ann_file='annotations/mmpose_crowdpose_trainval.json',
        data_prefix=dict(img='images/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_mode=data_mode,
        ann_file='annotations/mmpose_crowdpose_test.json',
        data_prefix=dict(img='images/'),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader

# A person's score is that of its query; nothing is suppressed.
# CrowdPose has no areas: OKS is scaled by the box. The result has AP on easy,
# medium and hard images, too.
val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/mmpose_crowdpose_test.json',
    score_mode='bbox',
    nms_mode='none',
    iou_type='keypoints_crowd',
    use_area=False,
    prefix='crowdpose')
test_evaluator = val_evaluator
