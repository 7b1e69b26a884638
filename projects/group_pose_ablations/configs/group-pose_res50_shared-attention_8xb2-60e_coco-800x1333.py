# Appendix A.3: both self-attentions use the same projections.
_base_ = '../../../configs/_base_/models/group_pose_res50.py'

model = dict(head=dict(decoder=dict(shared=True)))
