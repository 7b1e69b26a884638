# Table 4d: one self-attention over all queries.
_base_ = './_base_/group-pose_res50.py'

model = dict(head=dict(decoder=dict(type='StandardAttentionDecoder')))
