# GTPT from random weights on a few hundred or thousand pictures: initial
# weights with which keypoints and pictures differ at once, attention shown
# where the keypoints are, and one pass, so that a step costs half. Same
# weights and predictions as of the COCO recipe; see docs/models/gtpt.md.
_base_ = './gtpt_coco.py'

model = dict(
    type='GuidedGTPTEstimator',
    guidance=dict(type='AttentionGuidanceLoss'),
    backbone=dict(
        keep_rates=(1.0, 0.7, 0.5, 0.3),
        with_unpruned=False,
        init_cfg=[
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='GTPTShortRun')
        ]))
