# MPII keypoints from crops: files, loaders and metric. Codec and pipelines
# come from the file of a size.
_base_ = './default_loaders.py'

data_root = 'data/mpii/'
# MMPoseInferencer reads these two.
dataset_type = 'MpiiDataset'
data_mode = 'topdown'
files = dict(
    type=dataset_type,
    data_root=data_root,
    data_mode=data_mode,
    data_prefix=dict(img='images/'))
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(**files, ann_file='annotations/mpii_train.json'))
val_dataloader = dict(
    num_workers=2,
    dataset=dict(
        **files,
        ann_file='annotations/mpii_val.json',
        headbox_file=data_root + 'annotations/mpii_gt_val.mat',
        test_mode=True))
test_dataloader = val_dataloader
del files

val_evaluator = dict(type='MpiiPCKAccuracy')
test_evaluator = val_evaluator
best_checkpoint = dict(save_best='PCK', rule='greater')
