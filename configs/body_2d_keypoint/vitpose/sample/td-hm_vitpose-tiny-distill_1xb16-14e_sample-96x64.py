# Phase 2, token and heatmaps: a ViTPose of half the width and depth.
_base_ = './td-hm_vitpose-s_1xb16-14e_sample-96x64.py'

phase_1 = 'work_dirs/td-hm_vitpose-s-token_1xb16-14e_sample-96x64/epoch_14.pth'
model = dict(
    type='ViTPoseDistiller',
    train_cfg=dict(
        token_checkpoint=phase_1,
        teacher_checkpoint=phase_1,
        teacher=dict(
            type='TopdownPoseEstimator',
            backbone=dict(
                type='ViTPose',
                arch='small',
                img_size=_base_.codec.input_size[::-1]),
            head=dict(
                type='HeatmapHead',
                in_channels=384,
                out_channels=17,
                deconv_out_channels=(256, 256),
                deconv_kernel_sizes=(4, 4)))),
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=192, depth=6, num_heads=6),
        knowledge_dims=384),
    head=dict(in_channels=192))
custom_hooks = [
    dict(type='FreezeHook', frozen=['backbone.knowledge.token'])
]
