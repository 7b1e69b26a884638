"""Layer-wise learning rates: the authors' groups, and bad input."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmpose.registry import MODELS
from torch import nn

from gtpt_mm.engine.hooks.freeze import freeze


def build() -> nn.Module:
    """The model whose groups are recorded."""
    return MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(
                type='ViTPose',
                arch=dict(embed_dims=48, depth=3, num_heads=4),
                img_size=(64, 48),
            ),
            head=dict(
                type='HeatmapHead',
                in_channels=48,
                out_channels=17,
                deconv_out_channels=(16, 16),
                deconv_kernel_sizes=(4, 4),
            ),
        )
    )


def wrap(model, lr=5e-4, weight_decay=0.1, **paramwise):
    return build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=lr, weight_decay=weight_decay),
            constructor='BackboneLayerDecayOptimWrapperConstructor',
            paramwise_cfg=paramwise,
        ),
    )


def native_name(name: str) -> str:
    name = name.replace('.blocks.', '.layers.')
    return name.replace('keypoint_head.', 'head.')


def test_groups_match_authors(read_vitpose_golden):
    lists = read_vitpose_golden('param_groups_and_freezing.json')
    recorded = lists['layer_decay_vit']
    wrapper = wrap(
        build(),
        recorded['lr'],
        recorded['weight_decay'],
        layer_decay_rate=recorded['layer_decay_rate'],
    )
    groups = {g['group_name']: g for g in wrapper.optimizer.param_groups}
    assert set(groups) == {g['group_name'] for g in recorded['groups']}
    for expected in recorded['groups']:
        group = groups[expected['group_name']]
        for key in ('lr', 'lr_scale', 'weight_decay'):
            assert group[key] == pytest.approx(expected[key], rel=1e-9), key
        names = {native_name(name) for name in expected['param_names']}
        assert set(group['param_names']) == names
        assert len(group['params']) == len(names)


def test_mmposes_own_constructor_agrees():
    """Our names are those that the stock constructor knows, too."""
    model = build()
    ours = wrap(model, layer_decay_rate=0.75).optimizer.param_groups
    import mmpose.engine.optim_wrappers.layer_decay_optim_wrapper  # noqa: F401

    stock = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.1),
            constructor='LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(num_layers=3, layer_decay_rate=0.75),
        ),
    ).optimizer.param_groups
    assert {(g['group_name'], tuple(g['param_names'])) for g in ours} == {
        (g['group_name'], tuple(g['param_names'])) for g in stock
    }


def test_frozen_parameters_are_in_no_group():
    model = build()
    freeze(model, ['backbone.attn'])
    groups = wrap(model, layer_decay_rate=0.75).optimizer.param_groups
    names = {name for group in groups for name in group['param_names']}
    trainable = {n for n, p in model.named_parameters() if p.requires_grad}
    assert names == trainable
    assert not any('.attn.' in name for name in names)


def test_schedulers_keep_the_ratios():
    wrapper = wrap(build(), layer_decay_rate=0.75)
    step = torch.optim.lr_scheduler.StepLR(wrapper.optimizer, 1, 0.1)
    wrapper.optimizer.step()
    step.step()
    for group in wrapper.optimizer.param_groups:
        assert group['lr'] == pytest.approx(5e-5 * group['lr_scale'])


def test_bad_options_are_named():
    with pytest.raises(ValueError, match='custom_keys'):
        wrap(build(), layer_decay_rate=0.75, custom_keys={})
    with pytest.raises(ValueError, match='1.5'):
        wrap(build(), layer_decay_rate=1.5)
    with pytest.raises(ValueError, match='layer_decay_rate'):
        wrap(build())


def test_a_model_that_tells_no_depths_is_refused():
    with pytest.raises(ValueError, match='get_layer_depth'):
        wrap(nn.Linear(2, 2), layer_decay_rate=0.75)
