# Settings of every run: this package, hooks, logging.
default_scope = 'mmpose'
custom_imports = dict(imports=['gtpt_mm'], allow_failed_imports=False)

default_hooks = dict(
    keypoints=dict(type='KeypointTransferHook'),
    timer=dict(type='IterTimerHook'),
    schedule_length=dict(type='ScheduleLengthHook'),
    finite_loss=dict(type='FiniteLossHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=10, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    broadcast_buffers=dict(type='BroadcastBuffersHook'),
    visualization=dict(type='PoseVisualizationHook', enable=False))

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='PoseLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(
    type='LogProcessor', window_size=50, by_epoch=True, num_digits=6)
log_level = 'INFO'
load_from = None
resume = False
