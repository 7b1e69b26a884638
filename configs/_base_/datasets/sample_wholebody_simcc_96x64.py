# Sample data with 133 keypoints at 96x64: the boxes and pictures of the 17.
_base_ = './sample_simcc_96x64.py'

dataset_type = 'CocoWholeBodyDataset'
data_root = 'data/sample/coco/'
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/coco_wholebody_train_v1.0.json'))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/coco_wholebody_val_v1.0.json',
        bbox_file=data_root + 'person_detection_results/'
        'COCO_val2017_detections_AP_H_56_person.json'))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='CocoWholeBodyMetric',
    ann_file=data_root + 'annotations/coco_wholebody_val_v1.0.json')
test_evaluator = val_evaluator
best_checkpoint = dict(save_best='coco-wholebody/AP')
