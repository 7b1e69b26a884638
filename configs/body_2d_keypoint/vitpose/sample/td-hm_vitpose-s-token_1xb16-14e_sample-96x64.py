# Phase 1 of the token distillation, with the ViTPose-S of the config below.
_base_ = './td-hm_vitpose-s_1xb16-14e_sample-96x64.py'

model = dict(
    type='KnowledgeTokenDistiller',
    train_cfg=dict(
        teacher_checkpoint='work_dirs/'
        'td-hm_vitpose-s_1xb16-14e_sample-96x64/epoch_14.pth'),
    backbone=dict(knowledge_dims=384))
custom_hooks = [
    dict(type='FreezeHook', trainable=['backbone.knowledge'])
]
