# COCO keypoints at 384x288. The Gaussian keeps its share of the crop: 6 bins
# instead of 4.
_base_ = './coco_simcc_256x192.py'

codec = dict(_base_.codec, input_size=(288, 384), sigma=6.0)
resized = dict(
    TopdownAffine=dict(type='TopdownAffine', input_size=codec['input_size']),
    GenerateTarget=dict(type='GenerateTarget', encoder=codec))
train_pipeline = [
    resized.get(step.type, step) for step in _base_.train_pipeline
]
val_pipeline = [resized.get(step.type, step) for step in _base_.val_pipeline]
del resized

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

# As in the base, where sigma is 4.
val_evaluator = dict(
    keypoint_score_thr=0.01 * codec['sigma'] * 6.283185307**0.5)
test_evaluator = val_evaluator
