# Half the epochs of the sample config, for comparing choices.
_base_ = [
    '../../../../configs/body_2d_keypoint/hevitpose/sample/td-hm_hevitpose-t_1xb16-6e_sample-mpii-128x128.py'
]
train_cfg = dict(max_epochs=3)
