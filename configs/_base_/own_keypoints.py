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
    # A short run must leave the mean pose early; the COCO recipe keeps the
    # official initialisation.
    gtpt_from_scratch=dict(
        qk_init_gain=3.0, init_cfg=dict(type='Kaiming', layer='Conv2d')))
