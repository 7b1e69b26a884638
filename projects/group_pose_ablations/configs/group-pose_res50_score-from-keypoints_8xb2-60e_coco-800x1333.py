# Table 4b: there are instance queries, but the mean of the keypoint queries
# is scored.
_base_ = './_base_/group-pose_res50.py'

model = dict(head=dict(decoder=dict(type='ScoreFromKeypointsDecoder')))
