# A ViTPose-B that also learns from the heatmaps of a ViTPose-L.
_base_ = './td-hm_vitpose-b_8xb64-210e_coco-256x192.py'

model = dict(
    type='ViTPoseDistiller',
    train_cfg=dict(
        teacher_checkpoint='checkpoints/vitpose-l.pth',
        teacher=dict(
            type='TopdownPoseEstimator',
            backbone=dict(
                type='ViTPose',
                arch='large',
                img_size=_base_.codec.input_size[::-1]),
            head=dict(
                type='HeatmapHead',
                in_channels=1024,
                out_channels=17,
                deconv_out_channels=(256, 256),
                deconv_kernel_sizes=(4, 4)))))
