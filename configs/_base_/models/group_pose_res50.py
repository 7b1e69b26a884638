# Group Pose with ResNet-50, as in the paper; the skeleton (metainfo of the
# head) comes from the config.
model = dict(
    type='BottomupPoseEstimator',
    backbone=dict(
        type='ResNet',
        depth=50,
        out_indices=(1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        init_cfg=dict(type='Pretrained',
                      checkpoint='torchvision://resnet50')),
    neck=dict(
        type='ChannelMapper',
        in_channels=[512, 1024, 2048],
        out_channels=256,
        kernel_size=1,
        num_outs=4,
        # Norms of 8 channels a group do not cancel it.
        bias=True,
        norm_cfg=dict(type='GN', num_groups=32),
        act_cfg=None),
    head=dict(type='GroupPoseHead'),
    # The inferencer of mmpose writes a score_thr where there is one.
    test_cfg=dict(num_select=50, score_thr=0.0, flip_test=False))
