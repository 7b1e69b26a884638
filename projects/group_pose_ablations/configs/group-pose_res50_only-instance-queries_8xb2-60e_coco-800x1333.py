# Table 4a: one query for each person, which moves all its keypoints.
_base_ = './_base_/group-pose_res50.py'

model = dict(head=dict(decoder=dict(type='OnlyInstanceQueriesDecoder')))
