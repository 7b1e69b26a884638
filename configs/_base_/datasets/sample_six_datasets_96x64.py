# Samples of the six datasets of ViTPose++ at 96x64: small enough for two CPU
# cores. What is unbiased (UDP) is as in six_datasets_256x192.py.
dataset_names = ['coco', 'aic', 'mpii', 'ap10k', 'apt36k', 'wholebody']

input_size = (64, 96)
udp_codec = dict(
    type='UDPHeatmap',
    input_size=input_size,
    heatmap_size=(16, 24),
    sigma=1,
    blur_kernel_size=5)
# Without rounding, unlike the authors', which on so small a map costs all:
# perfect maps of AI Challenger would reach an AP of 0.07, of WholeBody 0.04.
msra_codec = dict(
    type='MSRAHeatmap',
    input_size=input_size,
    heatmap_size=(16, 24),
    sigma=1,
    unbiased=True,
    blur_kernel_size=5)

data_preprocessor = dict(
    type='PoseDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True)

start = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
# Gentle: in so short a run strong augmentation costs more than it brings.
augment = [
    dict(type='RandomFlip', direction='horizontal'),
    dict(
        type='RandomBBoxTransform',
        shift_prob=0.0,
        scale_factor=(0.85, 1.15),
        rotate_factor=15.0,
        rotate_prob=0.5)
]
udp_crop = [dict(type='TopdownAffine', input_size=input_size, use_udp=True)]
crop = [dict(type='TopdownAffine', input_size=input_size)]
udp_target = [
    dict(type='GenerateTarget', encoder=udp_codec),
    dict(type='PackPoseInputs')
]
target = [
    dict(type='GenerateTarget', encoder=msra_codec),
    dict(type='PackPoseInputs')
]
udp_train_pipeline = [*start, *augment, *udp_crop, *udp_target]
train_pipeline = [*start, *augment, *crop, *target]
udp_val_pipeline = [*start, *udp_crop, dict(type='PackPoseInputs')]
val_pipeline = [*start, *crop, dict(type='PackPoseInputs')]

coco_root = 'data/sample/coco/'
aic_root = 'data/sample/aic/'
mpii_root = 'data/sample/mpii/'
ap10k_root = 'data/sample/ap10k/'
apt36k_root = 'data/sample/apt36k/'

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    # Each dataset in proportion to its size.
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='MultiDataset',
        names=dataset_names,
        datasets=dict(
            coco=dict(
                type='CocoDataset',
                data_root=coco_root,
                ann_file='annotations/person_keypoints_train2017.json',
                data_prefix=dict(img='train2017/'),
                pipeline=udp_train_pipeline),
            aic=dict(
                type='AicDataset',
                data_root=aic_root,
                ann_file='annotations/aic_train.json',
                data_prefix=dict(
                    img='ai_challenger_keypoint_train_20170902/'
                    'keypoint_train_images_20170902/'),
                pipeline=train_pipeline),
            mpii=dict(
                type='MpiiDataset',
                data_root=mpii_root,
                ann_file='annotations/mpii_train.json',
                data_prefix=dict(img='images/'),
                pipeline=udp_train_pipeline),
            ap10k=dict(
                type='AP10KDataset',
                data_root=ap10k_root,
                ann_file='annotations/ap10k-train-split1.json',
                data_prefix=dict(img='data/'),
                pipeline=train_pipeline),
            apt36k=dict(
                type='APT36KDataset',
                data_root=apt36k_root,
                ann_file='annotations/train_annotations_1.json',
                data_prefix=dict(img=''),
                pipeline=train_pipeline),
            wholebody=dict(
                type='CocoWholeBodyDataset',
                data_root=coco_root,
                ann_file='annotations/coco_wholebody_train_v1.0.json',
                data_prefix=dict(img='train2017/'),
                pipeline=train_pipeline))))

detections = coco_root + 'person_detection_results/' \
    'COCO_val2017_detections_AP_H_56_person.json'
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    # Datasets one after the other: nearly all batches are of one.
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='MultiDataset',
        names=dataset_names,
        # Tells mmpose's inferencer, which looks for it, what to do.
        pipeline=[dict(type='SplitRequired')],
        datasets=dict(
            coco=dict(
                type='CocoDataset',
                data_root=coco_root,
                ann_file='annotations/person_keypoints_val2017.json',
                bbox_file=detections,
                data_prefix=dict(img='val2017/'),
                test_mode=True,
                pipeline=udp_val_pipeline),
            aic=dict(
                type='AicDataset',
                data_root=aic_root,
                ann_file='annotations/aic_val.json',
                data_prefix=dict(
                    img='ai_challenger_keypoint_validation_20170911/'
                    'keypoint_validation_images_20170911/'),
                test_mode=True,
                pipeline=val_pipeline),
            mpii=dict(
                type='MpiiDataset',
                data_root=mpii_root,
                ann_file='annotations/mpii_val.json',
                headbox_file=mpii_root + 'annotations/mpii_gt_val.mat',
                data_prefix=dict(img='images/'),
                test_mode=True,
                pipeline=udp_val_pipeline),
            ap10k=dict(
                type='AP10KDataset',
                data_root=ap10k_root,
                ann_file='annotations/ap10k-val-split1.json',
                data_prefix=dict(img='data/'),
                test_mode=True,
                pipeline=val_pipeline),
            apt36k=dict(
                type='APT36KDataset',
                data_root=apt36k_root,
                ann_file='annotations/val_annotations_1.json',
                data_prefix=dict(img=''),
                test_mode=True,
                pipeline=val_pipeline),
            wholebody=dict(
                type='CocoWholeBodyDataset',
                data_root=coco_root,
                ann_file='annotations/coco_wholebody_val_v1.0.json',
                bbox_file=detections,
                data_prefix=dict(img='val2017/'),
                test_mode=True,
                pipeline=val_pipeline))))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='PerDatasetEvaluator',
    names=dataset_names,
    metrics=dict(
        coco=dict(
            type='CocoMetric',
            ann_file=coco_root + 'annotations/person_keypoints_val2017.json',
            keypoint_score_thr=0.01),
        aic=dict(
            type='CocoMetric',
            ann_file=aic_root + 'annotations/aic_val.json',
            use_area=False),
        mpii=dict(type='MpiiPCKAccuracy'),
        ap10k=dict(
            type='CocoMetric',
            ann_file=ap10k_root + 'annotations/ap10k-val-split1.json'),
        apt36k=dict(
            type='CocoMetric',
            ann_file=apt36k_root + 'annotations/val_annotations_1.json'),
        wholebody=dict(
            type='CocoWholeBodyMetric',
            ann_file=coco_root +
            'annotations/coco_wholebody_val_v1.0.json')))
test_evaluator = val_evaluator

del start, augment, udp_crop, crop, udp_target, target, udp_train_pipeline, \
    train_pipeline, udp_val_pipeline, val_pipeline, coco_root, aic_root, \
    mpii_root, ap10k_root, apt36k_root, detections
