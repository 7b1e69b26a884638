# COCO keypoints from whole images: files, loaders and metric. Codec and
# pipelines come from the file of a model.
_base_ = './default_loaders.py'

data_root = 'data/coco/'
# MMPoseInferencer reads these two.
dataset_type = 'CocoDataset'
data_mode = 'bottomup'
files = dict(type=dataset_type, data_root=data_root, data_mode=data_mode)
train_dataloader = dict(
    dataset=dict(
        **files,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/')))
# Images keep their shape, so they come one by one.
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        **files,
        ann_file='annotations/person_keypoints_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True))
test_dataloader = val_dataloader
del files

# The score of an instance is the model's; nothing is suppressed.
val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/person_keypoints_val2017.json',
    score_mode='bbox',
    nms_mode='none')
test_evaluator = val_evaluator
best_checkpoint = dict(save_best='coco/AP', rule='greater')
