# Second of the two official runs, behind the paper's results: starts from the
# averaged weights of the body run.
_base_ = './gtpt-s_4xb64-300e_coco-wholebody-256x192.py'

custom_hooks = [
    # A checkpoint, or a work folder with its best one.
    dict(
        type='InitFromHook',
        init_from='work_dirs/gtpt-s_4xb64-300e_coco-256x192'),
    *_base_.custom_hooks
]
