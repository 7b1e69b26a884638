# Samples of the six datasets of ViTPose++ at 96x64: small enough for two CPU
# cores. Which are unbiased (UDP) is said in six_datasets_256x192.py.
_base_ = './six_datasets_256x192.py'

input_size = (64, 96)
udp_codec = dict(
    type='UDPHeatmap',
    input_size=input_size,
    heatmap_size=(16, 24),
    sigma=1,
    blur_kernel_size=5)
# Without rounding, unlike the official code, where on so small a map perfect
# heatmaps of AI Challenger would reach an AP of 0.07, of WholeBody 0.04.
msra_codec = dict(
    type='MSRAHeatmap',
    input_size=input_size,
    heatmap_size=(16, 24),
    sigma=1,
    unbiased=True,
    blur_kernel_size=5)
new_codecs = dict(UDPHeatmap=udp_codec, MSRAHeatmap=msra_codec)
codecs = {
    name: new_codecs[codec.type] for name, codec in _base_.codecs.items()
}

load = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
# Gentle: in so short a run strong augmentation costs more than it brings.
augment = [
    dict(type='RandomFlip', direction='horizontal'),
    dict(
        type='RandomBBoxTransform',
        shift_prob=0.0,
        scale_factor=(0.85, 1.15),
        rotate_factor=15.0,
        rotate_prob=0.5)
]
crops = dict(
    UDPHeatmap=dict(type='TopdownAffine', input_size=input_size, use_udp=True),
    MSRAHeatmap=dict(type='TopdownAffine', input_size=input_size))


def moved(files):
    """Return the paths of a dataset or metric that begin with its root."""
    return {
        key: value.replace('data/', 'data/sample/', 1)
        for key, value in files.items()
        if isinstance(value, str) and value.startswith('data/')
    }


train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(
        datasets={
            name: dict(
                moved(_base_.train_dataloader.dataset.datasets[name]),
                pipeline=[
                    *load, *augment, crops[codec['type']],
                    dict(type='GenerateTarget', encoder=codec),
                    dict(type='PackPoseInputs')
                ])
            for name, codec in codecs.items()
        }))
val_dataloader = dict(
    num_workers=2,
    dataset=dict(
        datasets={
            name: dict(
                moved(_base_.val_dataloader.dataset.datasets[name]),
                pipeline=[
                    *load, crops[codec['type']], dict(type='PackPoseInputs')
                ])
            for name, codec in codecs.items()
        }))
test_dataloader = val_dataloader
metrics = {
    name: moved(files) for name, files in _base_.val_evaluator.metrics.items()
}
metrics['coco'].update(keypoint_score_thr=0.01)
val_evaluator = dict(metrics=metrics)
test_evaluator = val_evaluator

del new_codecs, load, augment, crops, metrics
