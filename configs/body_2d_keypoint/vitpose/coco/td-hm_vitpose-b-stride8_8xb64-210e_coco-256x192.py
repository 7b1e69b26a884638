# Features of 1/8 from overlapping patches; one deconvolution makes them 1/4.
_base_ = './td-hm_vitpose-b_8xb64-210e_coco-256x192.py'

model = dict(
    backbone=dict(patch_stride=8),
    head=dict(deconv_out_channels=(256, ), deconv_kernel_sizes=(4, )))
