# A target of sigma 2 in heat-map pixels; the sample config has 1.5.
_base_ = './hevitpose-t_1xb16-3e_sample-mpii-128x128.py'
codec = dict(sigma=2.0)
model = dict(head=dict(decoder=dict(sigma=2.0)))
train_pipeline = [
    dict(step, encoder=dict(_base_.codec, sigma=2.0))
    if step['type'] == 'GenerateTarget' else step
    for step in _base_.train_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
