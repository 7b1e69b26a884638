"""FreezeHook: names of parts, gradients, modes, and a whole training."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import MODELS
from support import vitpose_plus as tools
from torch import nn

from gtpt_mm.engine import FreezeHook
from gtpt_mm.engine.hooks.freeze import freeze
from gtpt_mm.models import ViTPose

ARCH = dict(embed_dims=32, depth=4, num_heads=2)


def trainable(model: nn.Module) -> set[str]:
    return {n for n, p in model.named_parameters() if p.requires_grad}


def build_plus() -> nn.Module:
    init_default_scope('mmpose')
    return MODELS.build(tools.make_model_cfg(dim=32, depth=2, num_heads=2))


@pytest.mark.parametrize(
    ('name', 'is_in'),
    [
        ('pos_embed', lambda n: n == 'pos_embed'),
        ('layers.1', lambda n: n.startswith('layers.1.')),
        ('attn', lambda n: '.attn.' in n or '.norm1.' in n),
        ('ffn', lambda n: '.mlp.' in n or '.norm2.' in n),
        ('experts.0', lambda n: '.experts.0.' in n),
        ('knowledge.token', lambda n: n == 'knowledge.token'),
    ],
)
def test_names_of_parts(name, is_in):
    model = ViTPose(
        ARCH, (64, 48), knowledge_dims=16, experts=dict(num_experts=2)
    )
    freeze(model, [name])
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {n for n, _ in model.named_parameters() if is_in(n)}


def test_frozen_layers_are_in_evaluation_mode():
    model = ViTPose(ARCH, (64, 48), drop_path_rate=0.5).train()
    hook = FreezeHook(frozen=['layers.0', 'layers.1'])
    hook.frozen_modules = freeze(model, hook.frozen)
    hook.before_train_iter(None, 0)
    assert [la.training for la in model.layers] == [False, False, True, True]
    assert not model.layers[1].drop_path.training
    assert model.layers[2].drop_path.training


def test_only_named_parts_are_trained():
    model = build_plus().train()
    frozen = freeze(model, trainable=['backbone.experts.5', 'head.mpii'])
    assert trainable(model) == {
        name
        for name, _ in model.named_parameters()
        if '.experts.5.' in name or '.mpii.' in name
    }
    norm = model.head.heads['mpii'].deconv_layers[1]
    assert norm not in frozen
    assert model.backbone not in frozen  # gradient checkpointing asks it
    assert model.head.heads['coco'].deconv_layers[1] in frozen
    assert model.backbone.layers[0].drop_path in frozen


def test_parameters_that_were_frozen_stay_so():
    model = build_plus()
    model.backbone.pos_embed.requires_grad_(False)
    freeze(model, trainable=['backbone'])
    assert 'backbone.pos_embed' not in trainable(model)
    assert all(name.startswith('backbone.') for name in trainable(model))


def test_modules_of_any_model_have_names():
    model = nn.ModuleDict(
        dict(backbone=nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    )
    freeze(model, ['backbone.0'])
    assert trainable(model) == {'backbone.1.weight', 'backbone.1.bias'}


@pytest.mark.parametrize(
    ('options', 'word'),
    [
        (
            dict(frozen=['backbone.attention']),
            "'attention' is not a part of ViTPose.*'attn'",
        ),
        (dict(frozen=['tail']), "'tail'.*'backbone', 'head'"),
        (dict(trainable=['head.dogs']), "'dogs'.*'coco'"),
        (dict(frozen=['backbone', 'head']), 'nothing to train'),
    ],
    ids=str,
)
def test_bad_names_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        freeze(build_plus(), **options)


def test_either_frozen_or_trainable_is_given():
    with pytest.raises(ValueError, match='either'):
        FreezeHook()
    with pytest.raises(ValueError, match='either'):
        FreezeHook(frozen=['head'], trainable=['backbone'])


def test_a_training_leaves_frozen_parts_as_they_are(tmp_path):
    """Not even decayed, although the optimizer was built with them."""
    init_default_scope('mmpose')
    cfg = tools.make_model_cfg(dim=32, depth=2, num_heads=2)
    cfg['data_preprocessor'] = dict(type='PoseDataPreprocessor')
    hook = dict(
        type='FreezeHook', trainable=['backbone.experts.2', 'head.mpii']
    )
    runner = Runner(
        cfg,
        str(tmp_path),
        train_dataloader=dict(
            dataset=tools.Mpii(),
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(
            optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.1)
        ),
        custom_hooks=[hook],
        default_scope='mmpose',
        experiment_name='freeze',
    )
    start = tools.StartHook()
    runner.register_hook(start)
    runner.train()
    changed = {
        name
        for name, value in runner.model.state_dict().items()
        if not torch.equal(value, start.weights[name])
    }
    assert changed
    for name in runner.model.state_dict():
        own = '.experts.2.' in name or '.mpii.' in name
        assert (name in changed) == own, name
