# The people of COCO and AI Challenger, cropped, without their labels.
_base_ = './coco_mae_crop_224x224.py'

coco = dict(_base_.train_dataloader.dataset)
del coco['pipeline']
aic = dict(
    type='AicDataset',
    data_root='data/aic/',
    data_mode='topdown',
    ann_file='annotations/aic_train.json',
    data_prefix=dict(
        img='ai_challenger_keypoint_train_20170902/'
        'keypoint_train_images_20170902/'))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CombinedDataset',
        # mmpose's skeleton, which it finds in its own package.
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[coco, aic],
        pipeline=_base_.train_pipeline))
del coco, aic
