# ViTPose-S has 12 heads; neither small model of mmpretrain is that.
_base_ = './mae_vit-b_8xb512-1600e_coco-aic-crop-224x224.py'

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=384,
            num_layers=12,
            num_heads=12,
            feedforward_channels=1536)),
    neck=dict(embed_dim=384))
