# ViTPose-B with the classic decoder for the 17 COCO keypoints.
_base_ = './vitpose_coco.py'

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.3), head=dict(in_channels=768))
