# HEViTPose-B for the 16 keypoints of MPII.
_base_ = './hevitpose_coco.py'
model = dict(head=dict(out_channels=16))
