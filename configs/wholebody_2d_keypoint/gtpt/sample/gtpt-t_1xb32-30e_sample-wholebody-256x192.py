# The COCO-WholeBody recipe on the sample data: same model, same pipelines,
# 30 epochs.
# gtpt-mm sample-data data/sample --layout coco coco-wholebody
_base_ = '../coco-wholebody/gtpt-t_4xb64-300e_coco-wholebody-256x192.py'

data_root = 'data/sample/coco/'
train_dataloader = dict(batch_size=32, dataset=dict(data_root=data_root))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        bbox_file=data_root + 'person_detection_results/'
        'COCO_val2017_detections_AP_H_56_person.json'))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=data_root + 'annotations/coco_wholebody_val_v1.0.json')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=30, val_interval=5)
param_scheduler = [
    dict(type='MultiStepLR', milestones=[20, 26], gamma=0.1, by_epoch=True)
]
