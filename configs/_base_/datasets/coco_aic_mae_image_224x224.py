# The images of COCO and AI Challenger that show people, without labels.
_base_ = './coco_aic_mae_crop_224x224.py'

train_pipeline = [
    step for step in _base_.train_pipeline if step.type != 'CropBBox'
]
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(dataset, data_mode='bottomup')
            for dataset in _base_.train_dataloader.dataset.datasets
        ],
        pipeline=train_pipeline))
