# Patches of 16 x 16, as ViTPose-H has; MAE on ImageNet has 14 x 14.
_base_ = './mae_vit-b_8xb512-1600e_coco-aic-crop-224x224.py'

model = dict(backbone=dict(arch='huge'), neck=dict(embed_dim=1280))
