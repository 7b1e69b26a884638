# Both stages of the curriculum in one training, each as long as an official
# run. Unlike there, the body is learned with the whole-body model's
# annotations, keep rates and (unsupervised) dense tokens.
_base_ = './gtpt-s_4xb64-300e_coco-wholebody-256x192.py'

train_cfg = dict(max_epochs=600)
custom_hooks = [
    dict(
        type='CurriculumHook',
        switch_epoch=300,
        param_scheduler=_base_.param_scheduler),
    # CurriculumHook sets the length of the average: 300 epochs in each stage.
    *_base_.custom_hooks
]
