# Phase 1 of the token distillation: of a trained ViTPose-L, only the token
# learns.
_base_ = './td-hm_vitpose-l_8xb64-210e_coco-256x192.py'

model = dict(
    type='KnowledgeTokenDistiller',
    train_cfg=dict(teacher_checkpoint='checkpoints/vitpose-l.pth'),
    backbone=dict(knowledge_dims=1024))
custom_hooks = [
    dict(type='FreezeHook', trainable=['backbone.knowledge'])
]
