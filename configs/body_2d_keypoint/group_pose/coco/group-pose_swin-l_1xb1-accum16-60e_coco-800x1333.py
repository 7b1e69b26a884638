# One device: the gradients of 16 steps of an image make one update, and layers
# are computed again instead of kept.
_base_ = './group-pose_swin-l_16xb1-60e_coco-800x1333.py'

model = dict(
    backbone=dict(with_cp=True),
    head=dict(encoder=dict(with_cp=True), decoder=dict(with_cp=True)))
optim_wrapper = dict(accumulative_counts=16)
# mmengine counts the images of a step, not those of an update.
auto_scale_lr = dict(base_batch_size=1)
