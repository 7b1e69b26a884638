# ViTPose-B from whole images: features of 1/8, attention in windows, keypoints
# grouped by associative embedding.
_base_ = [
    '../../../_base_/schedules/adamw_300e.py',
    '../../../_base_/datasets/coco_ae_512x512.py',
]

model = dict(
    type='BottomupPoseEstimator',
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type='ViTPose',
        arch='base',
        img_size=_base_.codec.input_size[::-1],
        patch_stride=8,
        attention=dict(window_size=(16, 16), shift=True, pool=True),
        drop_path_rate=0.3),
    head=dict(
        type='AssociativeEmbeddingHead',
        in_channels=768,
        num_keypoints=17,
        # HigherHRNet's deconvolution and one more: 1/8 to 1/2.
        deconv_out_channels=(256, 256),
        deconv_kernel_sizes=(4, 4),
        keypoint_loss=dict(type='MaskedHeatmapLoss'),
        tag_loss=dict(type='AssociativeEmbeddingLoss', loss_weight=0.001),
        decoder=_base_.decoder),
    # The head of mmpose 1.3.2 resizes heatmaps in the flip test only.
    test_cfg=dict(
        flip_test=True,
        shift_heatmap=False,
        restore_heatmap_size=True,
        align_corners=True))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))

default_hooks = dict(checkpoint=dict(save_best='coco/AP', rule='greater'))
