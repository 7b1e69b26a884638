# COCO-WholeBody keypoints at 256x192: COCO's recipe, other annotations.
_base_ = './coco_simcc_256x192.py'

train_pipeline = [
    # Hands that were labelled by a model carry its confidence.
    dict(type='AnnotatedVisibility'),
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(
        type='RandomHalfBodyByIds',
        # The authors count face and hands to the upper body.
        upper_body_ids=[*range(0, 11), *range(23, 133)],
        lower_body_ids=[*range(11, 23)],
        min_total_keypoints=9,
        min_upper_keypoints=3,
        min_lower_keypoints=3,
        padding=1.5,
        prob=0.3,
        upper_prioritized_prob=0.69),
    dict(
        type='ClippedRandomBBoxTransform',
        scale_sigma=0.35,
        rotate_sigma=45.0,
        rotate_prob=0.6),
    dict(type='RandomFlip', direction='horizontal', prob=0.5),
    dict(type='TopdownAffine', input_size=_base_.codec.input_size),
    dict(type='GenerateTarget', encoder=_base_.codec),
    dict(type='PackPoseInputs')
]

dataset_type = 'CocoWholeBodyDataset'
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        ann_file='annotations/coco_wholebody_train_v1.0.json',
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        ann_file='annotations/coco_wholebody_val_v1.0.json'))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='CocoWholeBodyMetric',
    ann_file=_base_.data_root + 'annotations/coco_wholebody_val_v1.0.json')
test_evaluator = val_evaluator
