"""Initial weights of a GTPT for a short training."""

# C channels

from typing import cast

import torch
from mmengine.model import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from gtpt_mm.layers.group_attention import GroupTransformerLayer

from .gtpt import GTPT


@WEIGHT_INITIALIZERS.register_module()
class GTPTShortRun:
    """Initialise a GTPT so that keypoints and images differ from the start.

    The official initialisation has three symmetries. 175,800 steps on COCO
    break them, a few hundred do not:

    - The learned tokens have a standard deviation of 0.02, a few per cent of
      what the first layers add to the human token. All keypoints are
      one token until the optimizer has driven them apart.
    - The position table is added in front of every layer. In the last layer
      the image is 1 % of the variance of the (normalised) image tokens; the
      rest is the position and what all tokens have in common.
    - The logit scale C^-0.5 leaves the first attention almost uniform.

    Use it in ``init_cfg`` of the backbone, after that of the convolutions:
    ``[dict(type='Kaiming', layer='Conv2d'), dict(type='GTPTShortRun')]``.
    It changes only initial values.

    Args:
        token_std: Standard deviation of the learned tokens.
        patch_gain: Factor on the projection of the patches.
        qk_gain: Factor on the query and key projections.

    Raises:
        ValueError: If one is not positive.
        TypeError: If the model is not a ``GTPT``.
    """

    #: Set by mmengine.
    wholemodule = False

    def __init__(
        self,
        token_std: float = 1.0,
        patch_gain: float = 8.0,
        qk_gain: float = 3.0,
    ) -> None:
        gains = dict(
            token_std=token_std, patch_gain=patch_gain, qk_gain=qk_gain
        )
        wrong = {name: gain for name, gain in gains.items() if gain <= 0}
        if wrong:
            raise ValueError(
                f'GTPTShortRun takes positive numbers, got {wrong}'
            )
        self.token_std = token_std
        self.patch_gain = patch_gain
        self.qk_gain = qk_gain

    @torch.no_grad()
    def __call__(self, module: nn.Module) -> None:
        """Draw the weights."""
        if not isinstance(module, GTPT):
            raise TypeError(
                'GTPTShortRun initialises a GTPT, got a '
                f'{type(module).__name__}; name it in init_cfg of the backbone'
            )
        for name in (
            'human_token',
            'sparse_embed',
            'part_embed',
            'dense_embed',
        ):
            if hasattr(module, name):
                getattr(module, name).normal_(std=self.token_std)
        projection = module.patch_embed.proj
        projection.reset_parameters()
        projection.weight *= self.patch_gain
        for layer in module.layers:
            qkv = cast(GroupTransformerLayer, layer).attn.qkv
            qkv.reset_parameters()
            qkv.weight[: 2 * module.embed_dims] *= self.qk_gain
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=repr(self))

    def __repr__(self) -> str:
        return (
            f'GTPTShortRun: token_std={self.token_std}, '
            f'patch_gain={self.patch_gain}, qk_gain={self.qk_gain}'
        )
