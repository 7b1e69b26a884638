# Appendix A.2: only instance queries attend across instances.
_base_ = './_base_/group-pose_res50.py'

model = dict(head=dict(decoder=dict(type='AcrossInstancesDecoder')))
