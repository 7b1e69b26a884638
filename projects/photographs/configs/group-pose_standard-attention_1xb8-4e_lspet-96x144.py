# One self-attention over all queries.
_base_ = './group-pose_1xb8-4e_lspet-96x144.py'

model = dict(head=dict(decoder=dict(type='StandardAttentionDecoder')))
