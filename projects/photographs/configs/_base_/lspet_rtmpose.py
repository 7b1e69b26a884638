# Targets of RTMPose; (4.9, 5.66) of 256x192 by the root of the size.
_base_ = './lspet.py'

codec = dict(
    type='SimCCLabel',
    input_size=_base_.input_size,
    sigma=(3.46, 4.0),
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False)
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
