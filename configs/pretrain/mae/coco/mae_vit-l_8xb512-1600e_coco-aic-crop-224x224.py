_base_ = './mae_vit-b_8xb512-1600e_coco-aic-crop-224x224.py'

model = dict(backbone=dict(arch='large'), neck=dict(embed_dim=1024))
