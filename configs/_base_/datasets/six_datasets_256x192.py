# The six datasets of ViTPose++ at 256x192. As in the official code, COCO and
# MPII are unbiased (UDP) in crop, target and decoding, the others are not.
_base_ = './default_loaders.py'

dataset_names = ['coco', 'aic', 'mpii', 'ap10k', 'apt36k', 'wholebody']

input_size = (192, 256)
udp_codec = dict(
    type='UDPHeatmap', input_size=input_size, heatmap_size=(48, 64), sigma=2)
msra_codec = dict(
    type='MSRAHeatmap', input_size=input_size, heatmap_size=(48, 64), sigma=2)
codecs = dict(
    coco=udp_codec,
    aic=msra_codec,
    mpii=udp_codec,
    ap10k=msra_codec,
    apt36k=msra_codec,
    wholebody=msra_codec)

load = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
crops = dict(
    UDPHeatmap=dict(type='TopdownAffine', input_size=input_size, use_udp=True),
    MSRAHeatmap=dict(type='TopdownAffine', input_size=input_size))
train_pipelines = {
    name: [
        *load,
        dict(type='RandomFlip', direction='horizontal'),
        dict(type='RandomHalfBody'),
        dict(type='RandomBBoxTransform'),
        crops[codec['type']],
        dict(type='GenerateTarget', encoder=codec),
        dict(type='PackPoseInputs')
    ]
    for name, codec in codecs.items()
}
train_pipelines['mpii'].remove(dict(type='RandomHalfBody'))
val_pipelines = {
    name: [*load, crops[codec['type']], dict(type='PackPoseInputs')]
    for name, codec in codecs.items()
}

train_files = dict(
    coco=dict(
        type='CocoDataset',
        data_root='data/coco/',
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/')),
    aic=dict(
        type='AicDataset',
        data_root='data/aic/',
        ann_file='annotations/aic_train.json',
        data_prefix=dict(
            img='ai_challenger_keypoint_train_20170902/'
            'keypoint_train_images_20170902/')),
    mpii=dict(
        type='MpiiDataset',
        data_root='data/mpii/',
        ann_file='annotations/mpii_train.json',
        data_prefix=dict(img='images/')),
    ap10k=dict(
        type='AP10KDataset',
        data_root='data/ap10k/',
        ann_file='annotations/ap10k-train-split1.json',
        data_prefix=dict(img='data/')),
    apt36k=dict(
        type='APT36KDataset',
        data_root='data/apt36k/',
        ann_file='annotations/train_annotations_1.json',
        data_prefix=dict(img='')),
    wholebody=dict(
        type='CocoWholeBodyDataset',
        data_root='data/coco/',
        ann_file='annotations/coco_wholebody_train_v1.0.json',
        data_prefix=dict(img='train2017/')))
# Differences from the files of the training.
val_files = dict(
    coco=dict(
        ann_file='annotations/person_keypoints_val2017.json',
        bbox_file='data/coco/person_detection_results/'
        'COCO_val2017_detections_AP_H_56_person.json',
        data_prefix=dict(img='val2017/')),
    aic=dict(
        ann_file='annotations/aic_val.json',
        data_prefix=dict(
            img='ai_challenger_keypoint_validation_20170911/'
            'keypoint_validation_images_20170911/')),
    mpii=dict(
        ann_file='annotations/mpii_val.json',
        headbox_file='data/mpii/annotations/mpii_gt_val.mat'),
    ap10k=dict(ann_file='annotations/ap10k-val-split1.json'),
    apt36k=dict(ann_file='annotations/val_annotations_1.json'),
    wholebody=dict(
        ann_file='annotations/coco_wholebody_val_v1.0.json',
        bbox_file='data/coco/person_detection_results/'
        'COCO_val2017_detections_AP_H_56_person.json',
        data_prefix=dict(img='val2017/')))

# Each dataset in proportion to its size.
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    dataset=dict(
        type='MultiDataset',
        names=dataset_names,
        datasets={
            name: dict(files, pipeline=train_pipelines[name])
            for name, files in train_files.items()
        }))
# Datasets one after the other: nearly all batches are of one.
val_dataloader = dict(
    batch_size=64,
    num_workers=8,
    dataset=dict(
        type='MultiDataset',
        names=dataset_names,
        datasets={
            name: dict(
                train_files[name],
                **files,
                test_mode=True,
                pipeline=val_pipelines[name])
            for name, files in val_files.items()
        }))
test_dataloader = val_dataloader

metrics = {
    name: dict(
        type='CocoMetric',
        ann_file=train_files[name]['data_root'] + files['ann_file'])
    for name, files in val_files.items()
}
metrics['aic'].update(use_area=False)
metrics['mpii'] = dict(type='MpiiPCKAccuracy')
metrics['wholebody'].update(type='CocoWholeBodyMetric')
val_evaluator = dict(
    type='PerDatasetEvaluator', names=dataset_names, metrics=metrics)
test_evaluator = val_evaluator
best_checkpoint = dict(save_best='coco/AP', rule='greater')

del load, crops, train_pipelines, val_pipelines, train_files, \
    val_files, metrics
