# Text of Table 4e: neither self-attention.
_base_ = './_base_/group-pose_res50.py'

model = dict(head=dict(decoder=dict(type='NoSelfAttentionDecoder')))
