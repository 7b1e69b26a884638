# Appendix A.3: both self-attentions use the same projections.
_base_ = './_base_/group-pose_res50.py'

model = dict(head=dict(decoder=dict(type='SharedAttentionDecoder')))
