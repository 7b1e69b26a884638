# COCO-WholeBody keypoints at 256x192: COCO's recipe, other annotations.
_base_ = './coco_simcc_256x192.py'

train_pipeline = [
    # Hands that were labelled by a model carry its confidence.
    dict(type='AnnotatedVisibility'),
    *_base_.train_pipeline[:2],
    dict(
        _base_.train_pipeline[2],  # RandomHalfBody
        type='RandomHalfBodyByIds',
        # The official code counts face and hands to the upper body.
        upper_body_ids=[*range(0, 11), *range(23, 133)],
        lower_body_ids=[*range(11, 23)]),
    *_base_.train_pipeline[3:]
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
best_checkpoint = dict(save_best='coco-wholebody/AP')
