# The target of sigma 1 that the paper's text states, not 2.
_base_ = (
    '../../../configs/body_2d_keypoint/hevitpose/mpii/'
    'td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py')
codec = dict(sigma=1)
model = dict(head=dict(decoder=dict(sigma=1)))
train_pipeline = [
    dict(step, encoder=dict(_base_.codec, sigma=1))
    if step['type'] == 'GenerateTarget' else step
    for step in _base_.train_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
