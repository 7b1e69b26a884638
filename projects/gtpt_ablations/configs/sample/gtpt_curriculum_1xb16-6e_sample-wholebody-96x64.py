# With curriculum: two of the six epochs supervise the body's keypoints alone.
# Everything else goes on, so that only the supervision differs.
_base_ = './gtpt_1xb16-6e_sample-wholebody-96x64.py'

custom_hooks = [
    dict(
        type='CurriculumHook',
        switch_epoch=2,
        reset_optimizer=False,
        average='keep'),
    *_base_.custom_hooks
]
