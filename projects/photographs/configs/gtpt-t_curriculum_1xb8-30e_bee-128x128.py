# A third of the epochs supervises the sparse keypoints alone; everything else
# goes on.
_base_ = './gtpt-t_1xb8-30e_bee-128x128.py'

custom_hooks = [
    dict(
        type='CurriculumHook',
        switch_epoch=10,
        reset_optimizer=False,
        average='keep'),
    *_base_.custom_hooks
]
