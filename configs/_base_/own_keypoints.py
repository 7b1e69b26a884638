# What a config of `gtpt-mm new` takes beside the config of its model. Its one
# name is in no other config, so that both can be bases.
own = dict(
    load=[dict(type='LoadImage'), dict(type='GetBBoxCenterScale')],
    pack=dict(type='PackPoseInputs'),
    # 'end', in steps, comes from the config.
    warmup=dict(type='LinearLR', start_factor=0.01, by_epoch=False),
    cosine=dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.01,
        by_epoch=True,
        convert_to_iter_based=True),
    average=dict(type='CosineEMAHook'),
    # Share of keypoints within a tenth of the longer side of the box.
    pck=dict(type='PCKAccuracy', thr=0.1),
    # For a logger: a picture of each batch of a validation.
    pictures=dict(enable=True, interval=1),
    # A GTPT from random weights, as models/gtpt_small_set.py has it.
    guided=dict(
        type='GuidedGTPTEstimator',
        guidance=dict(type='AttentionGuidanceLoss')),
    gtpt_small_set=dict(
        keep_rates=(1.0, 0.7, 0.5, 0.3),
        with_unpruned=False,
        init_cfg=[
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='GTPTShortRun')
        ]))
