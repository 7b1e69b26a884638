"""ViTPose++ against outputs recorded from the authors' code."""

import hashlib

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from support import vitpose_plus as tools
from support.parity import note

from gtpt_mm.engine.hooks.freeze import freeze
from gtpt_mm.layers.expert_mlp import merge_expert
from gtpt_mm.models import ViTPose


@pytest.fixture(params=['s11', 's12'])
def golden(request, read_vitpose_golden):
    """Of s12 only two of the six datasets are in the batch."""
    return read_vitpose_golden(f'vit_moe_{request.param}.pt')


@pytest.fixture
def split(request, golden, read_vitpose_golden):
    return read_vitpose_golden(f'model_split_s{golden["config"]["seed"]}.pt')[
        'split'
    ]


def assert_near(actual, expected, atol=2e-5) -> None:
    note('ViTPose++', 'outputs', actual, expected)
    torch.testing.assert_close(actual.detach(), expected, atol=atol, rtol=1e-5)


def test_features_and_heads_match_authors(golden):
    model = tools.build_golden(golden).eval()
    with torch.no_grad():
        source = golden['dataset_source']
        feats = tools.run_backbone(model, golden['img'], source)
        maps = model.head((feats,))
    assert_near(feats, golden['feat_eval'])
    for name, expected in zip(tools.NAMES, golden['heads_eval'], strict=True):
        assert_near(maps[name], expected)


def test_every_expert_matches_authors(golden):
    """One image as if of each dataset; alone, so by the short route."""
    model = tools.build_golden(golden).eval()
    for k, expected in enumerate(golden['feat_eval_all_source']):
        with torch.no_grad():
            counts = tools.group([k]).counts
            feats = model.backbone(golden['img'][:1], counts)
        assert_near(feats[0], expected)


def test_feed_forward_network_matches_authors(golden):
    model = tools.build_golden(golden)
    source = golden['dataset_source']
    groups = tools.group(source)
    x = groups.sort(golden['mlp0_in'])
    out = model.backbone.layers[0].mlp(x, groups.counts)
    assert_near(out, groups.sort(golden['mlp0_out']))


def test_training_matches_authors(golden):
    """Losses, every gradient, statistics of the norms of every head."""
    model = tools.build_golden(golden).train()
    assert golden['target_weight_padded'].unique().tolist() == [0, 1]
    samples = tools.make_samples(
        golden['dataset_source'],
        golden['target_padded'],
        golden['target_weight_padded'],
    )
    losses = model.loss(golden['img'], samples)
    for name, expected in zip(tools.NAMES, golden['losses'], strict=True):
        loss = losses[f'{name}/loss_kpt'].item()
        note('ViTPose++', 'losses', loss, expected)
        assert loss == pytest.approx(expected, rel=1e-5, abs=1e-12)
    total, _ = model.parse_losses(losses)
    note('ViTPose++', 'losses', total, golden['loss_total'])
    assert total.item() == pytest.approx(golden['loss_total'], rel=1e-5)
    total.backward()

    grads = {tools.native_name(n): g for n, g in golden['grads'].items()}
    table = grads['backbone.pos_embed']  # its first row is in all of ours
    grads['backbone.pos_embed'] = table[:, 1:]
    ours = {name: p.grad for name, p in model.named_parameters()}
    assert set(ours) == set(grads)
    largest = max(grad.norm() for grad in ours.values())
    for name, grad in ours.items():
        error = (grad - grads[name]).norm()
        scale = max(grad.norm(), 1e-2 * largest)
        note('ViTPose++', 'gradients', error, 0, scale)
        assert error <= 1e-4 * scale, name
        if not grads[name].any():
            assert not grad.any(), name  # absent: zero, and not None
    state = model.state_dict()
    for name, value in golden['state_dict_after_train_forward'].items():
        torch.testing.assert_close(
            state[tools.native_name(name)], value, atol=1e-6, rtol=1e-5
        )


def test_merged_weights_are_those_of_the_authors_split(golden, split):
    """The very numbers of their tool, and of the whole model's maps."""
    model = tools.build_golden(golden).eval()
    for k, name in enumerate(tools.NAMES):
        recorded = split[name]
        state = merge_expert(model.backbone.state_dict(), k)
        assert not any('experts' in key for key in state)
        checked = 0
        for key, value in state.items():
            if key == 'pos_embed':  # folded: not theirs
                continue
            official = 'backbone.' + key.replace('layers.', 'blocks.')
            digest = hashlib.sha256(
                value.contiguous().numpy().tobytes()
            ).hexdigest()
            assert digest == recorded['sha256'][official], key
            note('ViTPose++', 'checkpoints', value, value)  # same bytes
            checked += 1
        assert checked == len(state) - 1 > 30


def test_merged_model_gives_the_same(golden, split):
    model = tools.build_golden(golden).eval()
    cfg = golden['config']
    plain = ViTPose(
        dict(
            embed_dims=cfg['dim'], depth=cfg['depth'], num_heads=cfg['heads']
        ),
        cfg['img'],
    ).eval()
    for k, name in enumerate(tools.NAMES):
        plain.load_state_dict(merge_expert(model.backbone.state_dict(), k))
        with torch.no_grad():
            dataset_idx = [k] * len(golden['img'])
            feats = tools.run_backbone(model, golden['img'], dataset_idx)
            merged = plain(golden['img'])
            maps = model.head.heads[name](merged)
        assert_near(merged[0], feats, atol=2e-6)
        expected = split[name]['heatmap_eval']
        assert_near(maps[: len(expected)], expected)


def test_learning_rates_match_authors(golden, read_vitpose_golden):
    lists = read_vitpose_golden('param_groups_and_freezing.json')
    recorded = lists['layer_decay_moe']
    wrapper = build_optim_wrapper(
        tools.build_golden(golden),
        dict(
            type='OptimWrapper',
            optimizer=dict(
                type='AdamW',
                lr=recorded['lr'],
                weight_decay=recorded['weight_decay'],
            ),
            constructor='BackboneLayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=recorded['layer_decay_rate']),
        ),
    )
    groups = {g['group_name']: g for g in wrapper.optimizer.param_groups}
    assert set(groups) == {g['group_name'] for g in recorded['groups']}
    for expected in recorded['groups']:
        group = groups[expected['group_name']]
        for key in ('lr', 'lr_scale', 'weight_decay'):
            assert group[key] == pytest.approx(expected[key], rel=1e-9), key
        # The recorded model has one head; ours are all in the last group.
        names = {
            name
            for name in group['param_names']
            if not name.startswith('head.') or '.coco.' in name
        }
        assert names == set(map(tools.native_name, expected['param_names']))


@pytest.mark.parametrize(
    ('key', 'frozen'), tools.FROZEN_PARTS.items(), ids=str
)
def test_frozen_parts_match_authors(key, frozen, read_vitpose_golden):
    lists = read_vitpose_golden('param_groups_and_freezing.json')
    expected = {n.replace('blocks.', 'layers.') for n in lists[f'moe_{key}']}
    num_frozen = sum('layers.' in name for name in frozen)
    if num_frozen:
        # The authors freeze blocks 1 to n and train block 0; we freeze the
        # first n. So we train block n where they train block 0.
        expected = {
            name.replace('layers.0.', f'layers.{num_frozen}.')
            for name in expected
        }
    arch = dict(embed_dims=48, depth=3, num_heads=4)
    experts = dict(num_experts=6, part_features=12)
    model = ViTPose(arch, (64, 48), experts=experts)
    freeze(model, frozen)
    trainable = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trainable == expected
