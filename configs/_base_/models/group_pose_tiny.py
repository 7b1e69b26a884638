# Group Pose for a CPU: a slim ResNet-18 from random weights, three levels, few
# queries and layers.
_base_ = './group_pose_res50.py'

model = dict(
    backbone=dict(
        depth=18,
        base_channels=32,
        stem_channels=32,
        # Nothing is pretrained: all layers and norms learn.
        frozen_stages=-1,
        norm_cfg=dict(requires_grad=True),
        norm_eval=False,
        init_cfg=None),
    neck=dict(in_channels=[64, 128, 256], out_channels=128, num_outs=3),
    head=dict(
        embed_dims=128,
        num_levels=3,
        num_queries=12,
        num_heads=4,
        num_points=2,
        # In a short run the scores lag behind the poses, so that everyone is
        # found many times: they weigh five times what they do in the paper.
        loss_weights=dict(cls_weight=10.0),
        encoder=dict(num_layers=1, feedforward_dims=256),
        decoder=dict(num_layers=2, feedforward_dims=256)),
    test_cfg=dict(num_select=12))
