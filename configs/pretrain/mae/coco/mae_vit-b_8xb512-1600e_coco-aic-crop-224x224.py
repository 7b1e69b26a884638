_base_ = [
    '../../../_base_/models/mae_vit.py',
    '../../../_base_/schedules/mae_1600e.py',
    '../../../_base_/datasets/coco_aic_mae_crop_224x224.py',
]
