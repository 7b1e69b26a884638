# Half of ViTPose-S learns from its heatmaps as well as from the labels.
_base_ = './vitpose-tiny_1xb16-15e_lspet-128x96.py'

model = dict(
    type='ViTPoseDistiller',
    train_cfg=dict(
        teacher_checkpoint='weights.pth',  # of vitpose-s
        teacher=dict(
            type='TopdownPoseEstimator',
            backbone=dict(
                type='ViTPose',
                arch='small',
                img_size=_base_.codec.input_size[::-1]),
            head=dict(
                type='HeatmapHead',
                in_channels=384,
                out_channels=14,
                deconv_out_channels=(256, 256),
                deconv_kernel_sizes=(4, 4)))))
