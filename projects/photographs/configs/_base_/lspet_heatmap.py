# Heatmaps of HEViTPose and MobileNetV2.
_base_ = './lspet.py'

codec = dict(
    type='MSRAHeatmap',
    input_size=_base_.input_size,
    heatmap_size=(24, 32),
    sigma=1.5)
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
