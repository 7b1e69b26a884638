# COCO keypoints from crops: files, loaders and metric. Codec and pipelines
# come from the file of a size.
_base_ = './default_loaders.py'

data_root = 'data/coco/'
# MMPoseInferencer reads these two.
dataset_type = 'CocoDataset'
data_mode = 'topdown'
files = dict(type=dataset_type, data_root=data_root, data_mode=data_mode)
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        **files,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/')))
val_dataloader = dict(
    dataset=dict(
        **files,
        ann_file='annotations/person_keypoints_val2017.json',
        bbox_file=data_root + 'person_detection_results/'
        'COCO_val2017_detections_AP_H_56_person.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True))
test_dataloader = val_dataloader
del files

val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator
best_checkpoint = dict(save_best='coco/AP', rule='greater')
