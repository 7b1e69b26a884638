# For gtpt-mm benchmark only: no data, no training. The model of mmpose's
# edpose_res50_8xb2-50e_coco-800x1333, which its package cannot load.
custom_imports = dict(
    imports=['gtpt_mm', 'projects.group_pose_peers.models'],
    allow_failed_imports=False,
)
default_scope = 'mmpose'
codec = dict(input_size=(800, 480))
model = dict(
    type='TimedEDPose',
    backbone=dict(
        type='ResNet',
        depth=50,
        out_indices=(1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='FrozenBatchNorm2d', requires_grad=False),
        norm_eval=True),
    neck=dict(
        type='ChannelMapper',
        in_channels=[512, 1024, 2048],
        kernel_size=1,
        out_channels=256,
        act_cfg=None,
        norm_cfg=dict(type='GN', num_groups=32),
        num_outs=4),
    head=dict(
        type='EDPoseHead',
        num_queries=900,
        num_feature_levels=4,
        num_keypoints=17,
        as_two_stage=True,
        encoder=dict(
            num_layers=6,
            layer_cfg=dict(
                self_attn_cfg=dict(
                    embed_dims=256,
                    num_heads=8,
                    num_levels=4,
                    num_points=4,
                    batch_first=True),
                ffn_cfg=dict(
                    embed_dims=256,
                    feedforward_channels=2048,
                    num_fcs=2,
                    ffn_drop=0.0))),
        decoder=dict(
            num_layers=6,
            embed_dims=256,
            layer_cfg=dict(
                self_attn_cfg=dict(
                    embed_dims=256, num_heads=8, batch_first=True),
                cross_attn_cfg=dict(embed_dims=256, batch_first=True),
                ffn_cfg=dict(
                    embed_dims=256, feedforward_channels=2048, ffn_drop=0.1)),
            query_dim=4,
            num_feature_levels=4,
            num_group=100,
            num_dn=100,
            num_box_decoder_layers=2,
            return_intermediate=True),
        out_head=dict(num_classes=2),
        positional_encoding=dict(
            num_pos_feats=128,
            temperatureH=20,
            temperatureW=20,
            normalize=True),
        denosing_cfg=dict(
            dn_box_noise_scale=0.4,
            dn_label_noise_ratio=0.5,
            dn_labelbook_size=100,
            dn_attn_mask_type_list=['match2dn', 'dn2dn', 'group2group'])))
