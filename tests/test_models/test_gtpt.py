"""Contracts of the GTPT backbone, on a small one."""

import numpy as np
import pytest
import torch

from gtpt_mm.models import GTPT
from gtpt_mm.models.backbones.keypoint_groups import KeypointGroups

DENSE_GROUPS = [
    dict(sparse=[0, 3], parts=[[5, 6, 7]]),
    dict(sparse=[1, 2], parts=[[8], [9, 10]]),
    dict(sparse=[4]),
]


def make(**kwargs):
    settings = dict(
        arch=dict(embed_dims=32, stem_channels=16),
        img_size=(128, 96),
        keep_rates=(1.0, 0.7, 0.5, 0.3),
        keypoint_groups=DENSE_GROUPS,
        depth=8,
        num_heads=4,
    )
    return GTPT(**(settings | kwargs))


@pytest.fixture
def img():
    return torch.randn(2, 3, 128, 96)


def test_kept_tokens_shrink_and_nest(img):
    model = make().eval()
    _, kept = model.trace_pruning(img)
    assert [step.stage for step in kept] == ['layer2', 'transition', 'layer6']
    assert [step.places.shape[2] for step in kept] == [44, 32, 19]
    coarse = set(kept[0].places[0, 0].tolist())
    for before, after in zip(
        kept[1].places[0], kept[2].places[0], strict=True
    ):
        before, after = (
            {p for p in places.tolist() if p >= 0}
            for places in (before, after)
        )
        assert after < before <= coarse
    num_dense = (kept[2].places[0] == -1).sum(1)
    assert num_dense.tolist() == [3, 3, 0]


def test_unpruned_model_keeps_every_token(img):
    model = make(
        keep_rates=(1, 1, 1, 1), keypoint_groups=[dict(sparse=range(5))]
    ).train()
    pruned, full = model(img)
    torch.testing.assert_close(pruned, full, rtol=0, atol=0)


def test_pruning_from_the_first_layer(img):
    model = make(keep_rates=(0.8, 0.7, 0.5, 0.3)).train()
    stages = [step.stage for step in model.trace_pruning(img)[1]]
    assert stages == ['layer0', 'layer2', 'transition', 'layer6']
    pruned, full = model(img)
    assert not torch.equal(pruned, full)


def test_training_without_the_unpruned_pass(img):
    assert len(make(with_unpruned=False).train()(img)) == 1


def test_training_reads_the_stem_once(img):
    model = make().train()
    calls = []
    model.stem.register_forward_hook(lambda *_: calls.append(1))
    model(img)
    assert len(calls) == 1


def test_tables_stay_out_of_checkpoints():
    names = set(make().state_dict())
    assert not names & {'pos_table', 'slots', 'owner', 'output_rows'}


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_stays_finite(img, dtype):
    model = make().train()
    with torch.autocast('cpu', dtype=dtype):
        pruned, full = model(img)
    assert torch.isfinite(pruned).all()
    assert torch.isfinite(full).all()
    # The residual stream stays wide.
    assert pruned.dtype == full.dtype == torch.float32


def test_qk_init_gain_scales_queries_and_keys_only():
    torch.manual_seed(0)
    plain = make().layers[0].attn.qkv.weight
    torch.manual_seed(0)
    scaled = make(qk_init_gain=2.0).layers[0].attn.qkv.weight
    torch.testing.assert_close(scaled[:64], 2 * plain[:64])
    torch.testing.assert_close(scaled[64:], plain[64:])


@pytest.mark.parametrize(
    ('kwargs', 'named'),
    [
        (dict(arch='huge'), 'huge'),
        (dict(arch=dict(width=3)), 'width'),
        (dict(img_size=(130, 96)), '130'),
        (dict(depth=6), '6'),
        (dict(keep_rates=(1, 0.5, 0.7, 0.1)), '0.7'),
        (dict(keep_rates=(1, 0.5)), '0.5'),
        (dict(keep_rates=(1, 0.7, 0.1, 0.0)), '0.0'),
        (dict(keep_rates=(1, 0.7, 0.1, 0.04)), 'dense'),
        (dict(num_heads=5), '5'),
        (dict(qk_init_gain=0), '0'),
        (dict(keypoint_groups=[dict(sparse=[0, 2])]), r'\[0, 2\]'),
        (dict(keypoint_groups=[dict(sparse=[0], part=[[1]])]), 'part'),
        (dict(keypoint_groups=[dict(parts=[[0]])]), 'sparse'),
        (dict(keypoint_groups=[]), 'empty'),
        (dict(keypoint_groups=[dict(sparse=[0], parts=[[]])]), 'part'),
    ],
)
def test_errors_name_the_value(kwargs, named):
    with pytest.raises(ValueError, match=named):
        make(**kwargs)


def test_keep_rates_do_not_lose_a_token_to_rounding():
    model = make(img_size=(160, 108))
    assert model.grid_size == (10, 9)
    assert model.num_keeps == [90, 63, 45, 27]


def test_wrong_image_size_is_named():
    with pytest.raises(ValueError, match='256'):
        make().eval()(torch.rand(1, 3, 256, 192))


def test_groups_of_coco_wholebody_tables():
    groups = KeypointGroups(
        [
            dict(sparse=range(5), parts=[range(23, 91)]),
            dict(sparse=range(5, 11), parts=[range(91, 112), range(112, 133)]),
            dict(sparse=range(11, 17), parts=[range(17, 20), range(20, 23)]),
        ]
    )
    assert groups.num_dense == (68, 42, 6)
    slots, valid, owner = groups.slots()
    assert valid.sum(1).tolist() == [5, 6, 6]
    assert slots.flatten()[owner].tolist() == list(range(17))
    rows, valid = groups.transition_queries()
    assert rows[0][valid[0]].tolist() == [0, 5, 6, 7, 8, 9]
    assert rows[2][valid[2]].tolist() == [3, 4, 16, 17, 18, 19, 20, 21]
    assert groups.output_rows()[23] == 17  # first face point
    assert groups.output_rows()[91] == 17 + 68  # left hand
    assert groups.output_rows()[17] == 17 + 2 * 68  # left big toe


def fill_by_rule(model: torch.nn.Module) -> None:
    """Give every tensor values that depend on its place in the list only."""
    for i, tensor in enumerate(model.state_dict().values()):
        if tensor.is_floating_point():
            values = np.random.default_rng(i).standard_normal(tensor.shape)
            scale = tensor[0].numel() ** -0.5 if tensor.dim() > 1 else 0.1
            tensor.copy_(torch.from_numpy(values) * scale)
            if tensor.dim() == 1:
                tensor.abs_().add_(0.5)  # weights and variances of norms


def test_values_are_those_once_recorded(repo_root):
    """Our own outputs, recorded when the model agreed with the authors'.

    They guard the numbers in a clone without the authors' goldens. To record
    them again after a wanted change, save ``tokens`` and ``places`` with
    ``np.savez_compressed`` under the file's name.
    """
    model = make().double().eval()
    fill_by_rule(model)
    img = np.random.default_rng(99).standard_normal((2, 3, 128, 96))
    with torch.no_grad():
        tokens, kept = model.trace_pruning(torch.from_numpy(img))
    with np.load(repo_root / 'tests/data/gtpt_small.npz') as recorded:
        np.testing.assert_allclose(tokens, recorded['tokens'], 1e-9, 1e-9)
        flat = recorded['places']
    for step in kept:  # the order of kept tokens means nothing
        own, flat = np.split(flat, [step.places.numel()])
        np.testing.assert_array_equal(
            np.sort(step.places), np.sort(own.reshape(step.places.shape))
        )
    assert not len(flat)


ONE_GROUP = [dict(sparse=range(5), parts=[[5, 6, 7], [8], [9, 10]])]
SWITCHES = [
    dict(introduction='sparse-dense'),
    dict(introduction='dense'),
    dict(with_group_mask=False),
    dict(share_sparse=False),
    dict(displace=False),
    dict(displace=False, share_sparse=False, introduction='dense'),
    dict(keypoint_groups=ONE_GROUP, with_group_mask=False, displace=False),
    dict(keypoint_groups=[dict(sparse=range(5))], introduction='dense'),
]


@pytest.mark.parametrize('switch', SWITCHES)
def test_switches_learn_in_every_parameter(switch, img):
    model = make(**switch).train()
    pruned, full = model(img)
    assert pruned.shape == full.shape == (2, model.groups.num_keypoints, 32)
    (pruned.square().sum() + full.square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('switch', [{}, *SWITCHES])
@pytest.mark.parametrize('keep_rates', [(1.0, 0.7, 0.5, 0.3), (1.0,) * 4])
def test_shortcuts_change_nothing(switch, keep_rates, img):
    model = make(keep_rates=keep_rates, **switch).double().eval()
    fill_by_rule(model)
    [short] = model(img.double())
    model.with_shortcuts = False
    [plain] = model(img.double())
    torch.testing.assert_close(short, plain, rtol=1e-9, atol=1e-9)


def test_dense_keypoints_displace_or_add_tokens(img):
    for displace, size in ((True, 32), (False, 32 + 3)):
        [*_, transition, _] = (
            make(displace=displace).eval().trace_pruning(img)[1]
        )
        assert transition.places.shape == (2, 3, size)
        # Groups have 3, 3 and 0 dense keypoints.
        counts = (transition.places >= 0).sum(2)[0].tolist()
        assert counts == ([29, 29, 32] if displace else [32, 32, 32])


def test_fillers_do_not_influence_anything(img):
    """Added dense keypoints of a short group are padding, which none reads."""
    model = make(displace=False).double().eval()
    fill_by_rule(model)
    [expected] = model(img.double())
    layer = model.layers[4]
    first = model.groups.num_sparse + 2 * (32 + 3)  # the group without dense

    def spoil(module, args):
        x = args[0].clone()
        x[:, first : first + 3] += 100
        return (x,)

    # The projections see the spoiled fillers as queries, keys and values.
    handle = layer.norm1.register_forward_pre_hook(spoil)
    [spoiled] = model(img.double())
    handle.remove()
    torch.testing.assert_close(spoiled, expected, rtol=1e-12, atol=1e-12)


def test_unshared_keypoints_stay_in_their_group():
    """With self-attention in groups, a group's result is its own business."""
    from gtpt_mm.layers.group_attention import GroupAttention, TokenLayout

    slots, valid, owner = KeypointGroups(DENSE_GROUPS).slots()
    layout = TokenLayout(5, 3, slots, owner, shared=False, hidden=~valid)
    attn = GroupAttention(16, 4).double()
    q, k, v = torch.randn(3, 2, 5 + 3 * 4, 16, dtype=torch.float64)
    out = attn(q, k, v, layout)
    groups = [[0, 3], [1, 2], [4]]
    for g, sparse in enumerate(groups):
        rows = sparse + list(range(5 + 4 * g, 9 + 4 * g))
        alone = attn(
            q[:, rows], k[:, rows], v[:, rows], TokenLayout(len(rows))
        )
        torch.testing.assert_close(out[:, rows], alone)


def test_unknown_introduction_names_the_choices():
    with pytest.raises(ValueError, match="'sparse-dense'.*'late'"):
        make(introduction='late')
