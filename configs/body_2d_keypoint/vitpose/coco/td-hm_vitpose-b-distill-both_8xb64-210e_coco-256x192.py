# Phase 2 with the heatmaps and the token of a ViTPose-L.
_base_ = './td-hm_vitpose-b-distill-heatmap_8xb64-210e_coco-256x192.py'

model = dict(
    train_cfg=dict(
        token_checkpoint='work_dirs/'
        'td-hm_vitpose-l-token_8xb64-210e_coco-256x192/epoch_210.pth'),
    backbone=dict(knowledge_dims=1024))
custom_hooks = [
    dict(type='FreezeHook', frozen=['backbone.knowledge.token'])
]
