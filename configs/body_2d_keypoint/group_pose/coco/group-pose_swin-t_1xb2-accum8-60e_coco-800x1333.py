# One device: the gradients of 8 steps of 2 images make one update.
_base_ = './group-pose_swin-t_8xb2-60e_coco-800x1333.py'

optim_wrapper = dict(accumulative_counts=8)
# mmengine counts the images of a step, not those of an update.
auto_scale_lr = dict(base_batch_size=2)
