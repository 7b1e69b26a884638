# Table 4d: one self-attention over all queries, with a mask.
_base_ = './_base_/group-pose_res50.py'

model = dict(head=dict(decoder=dict(type='MaskedAttentionDecoder')))
