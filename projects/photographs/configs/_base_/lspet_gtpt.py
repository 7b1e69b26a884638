# Targets of GTPT.
_base_ = './lspet.py'

codec = dict(
    type='UnroundedSimCCLabel',
    input_size=_base_.input_size,
    sigma=4.0,
    simcc_split_ratio=2.0)
crop = dict(
    type='TopdownAffine', input_size=_base_.input_size)
pack = dict(type='PackPoseInputs')
train_dataloader = dict(
    dataset=dict(pipeline=[
        *_base_.augmentation, crop,
        dict(type='GenerateTarget', encoder=codec), pack
    ]))
val_dataloader = dict(dataset=dict(pipeline=[*_base_.load, crop, pack]))
test_dataloader = val_dataloader
