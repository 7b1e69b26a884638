"""Tiny VitPose of transformers, and the config that fits it here."""

import torch

CONFIG = """
_base_ = '{configs}/body_2d_keypoint/vitpose/sample/\
td-hm_vitpose-s_1xb16-14e_sample-96x64.py'
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=48, depth=2, num_heads=4)),
    head=dict(in_channels=48))
"""
PLUS_CONFIG = """
_base_ = '{configs}/multi_dataset/vitpose_plus/sample/\
td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64.py'
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=48, depth=2, num_heads=4)),
    head=dict(shared=dict(
        in_channels=48, deconv_out_channels=(256, 256))))
"""


def make_huggingface(plus: bool = False, seed: int = 0) -> torch.nn.Module:
    """Return a ``VitPoseForPoseEstimation`` with random weights."""
    from transformers import VitPoseConfig, VitPoseForPoseEstimation
    from transformers.models.vitpose_backbone import VitPoseBackboneConfig

    torch.manual_seed(seed)
    backbone = VitPoseBackboneConfig(
        image_size=[96, 64],
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        out_indices=[2],
        layer_norm_eps=1e-6,
        num_experts=6 if plus else 1,
        part_features=12 if plus else 0,
    )
    config = VitPoseConfig(
        backbone_config=backbone, use_simple_decoder=False, num_labels=17
    )
    model = VitPoseForPoseEstimation(config).eval()
    with torch.no_grad():  # the library draws most of them near zero
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.05)
    return model
