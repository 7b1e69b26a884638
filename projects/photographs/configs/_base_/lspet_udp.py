# Unbiased heatmaps of ViTPose.
_base_ = './lspet.py'

codec = dict(
    type='UDPHeatmap',
    input_size=_base_.input_size,
    heatmap_size=(24, 32),
    sigma=1.5,
    blur_kernel_size=9)
crop = dict(
    type='TopdownAffine', input_size=_base_.input_size, use_udp=True)
pack = dict(type='PackPoseInputs')
train_dataloader = dict(
    dataset=dict(pipeline=[
        *_base_.augmentation, crop,
        dict(type='GenerateTarget', encoder=codec), pack
    ]))
val_dataloader = dict(dataset=dict(pipeline=[*_base_.load, crop, pack]))
test_dataloader = val_dataloader
