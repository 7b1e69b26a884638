# Table 4e: no attention across instances.
_base_ = './_base_/group-pose_res50.py'

model = dict(head=dict(decoder=dict(type='WithinOnlyDecoder')))
