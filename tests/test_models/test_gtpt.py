"""Contracts of the GTPT backbone, on a small one."""

import numpy as np
import pytest
import torch

from gtpt_mm.models import GTPT
from gtpt_mm.models.backbones.keypoint_groups import KeypointGroups, Stage

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
    assert [step.layer for step, _ in kept] == [3, 4, 7]
    assert [step.divides for step, _ in kept] == [False, True, False]
    assert [indices.shape[2] for _, indices in kept] == [44, 32, 19]
    coarse = set(kept[0].indices[0, 0].tolist())
    for before, after in zip(
        kept[1].indices[0], kept[2].indices[0], strict=True
    ):
        before, after = (
            {index for index in indices.tolist() if index >= 0}
            for indices in (before, after)
        )
        assert after < before <= coarse
    num_dense = (kept[2].indices[0] == -1).sum(1)
    assert num_dense.tolist() == [3, 3, 0]


@pytest.mark.parametrize('pruned', [True, False])
def test_convention_positions_are_zero_at_keypoints_only(pruned, img):
    layers = []

    def note(step, tokens, q, k):
        layers.append(step.layer)
        is_zero = (tokens.pos == 0).all(dim=2)
        assert torch.equal(is_zero, tokens.indices < 0)
        assert tokens.x.shape == tokens.pos.shape == q.shape == k.shape

    model = make().eval()
    tokens = model.trace(img, note, pruned)
    assert layers == list(range(1, 9))
    assert tokens.shape == (2, 11, 32)
    if pruned:
        torch.testing.assert_close(tokens, model(img)[0], rtol=0, atol=0)


def test_unpruned_model_keeps_every_token(img):
    model = make(
        keep_rates=(1, 1, 1, 1), keypoint_groups=[dict(sparse=range(5))]
    ).train()
    pruned, full = model(img)
    torch.testing.assert_close(pruned, full, rtol=0, atol=0)


def test_pruning_from_the_first_layer(img):
    model = make(keep_rates=(0.8, 0.7, 0.5, 0.3)).train()
    layers = [step.layer for step, _ in model.trace_pruning(img)[1]]
    assert layers == [1, 3, 4, 7]
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
    model = make()
    tables = {name for name, _ in model.named_buffers()}
    assert {'pos_table', 'groups.slots'} <= tables
    saved = {n for n in tables if n.startswith(('stem.', 'patch_embed.'))}
    assert tables & set(model.state_dict()) == saved


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
    assert groups.slot_valid.sum(1).tolist() == [5, 6, 6]
    in_order = groups.slots.flatten()[groups.slot_of_keypoint]
    assert in_order.tolist() == list(range(17))
    # Queries that say which row they are.
    q = torch.arange(17 + 3 * 76)[None, :, None]
    queries, valid = groups.scoring_queries(q, Stage.SPARSE, Stage.DENSE)
    rows = queries[0, ..., 0]
    assert rows[0][valid[0]].tolist() == [0, 5, 6, 7, 8, 9]
    assert rows[2][valid[2]].tolist() == [3, 4, 16, 17, 18, 19, 20, 21]
    queries, valid = groups.scoring_queries(q, Stage.DENSE, Stage.DENSE)
    assert queries[0, 1, :, 0][valid[1]].tolist() == [
        *range(5, 11),
        *range(17 + 76, 17 + 76 + 42),
    ]
    for num_rest in (68, 76):
        rows = groups.rows(Stage.DENSE, 17 + 3 * num_rest)
        assert rows[:17].tolist() == list(range(17))
        assert rows[23] == 17  # first face point
        assert rows[91] == 17 + num_rest  # left hand
        assert rows[17] == 17 + 2 * num_rest  # left big toe
    rows, group = groups.locate([23, 112, 22, 3], Stage.SPARSE, 278)
    assert rows.tolist() == [0, 2, 4, 5 + 3]
    assert group.tolist() == [0] * 4
    rows, group = groups.locate([23, 112, 22, 3], Stage.DENSE, 17 + 3 * 76)
    assert rows.tolist() == [17, 17 + 76 + 21, 17 + 2 * 76 + 5, 3]
    assert group.tolist() == [0, 1, 2, 0]


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
    for _, indices in kept:  # the order of kept tokens means nothing
        expected, flat = np.split(flat, [indices.numel()])
        np.testing.assert_array_equal(
            np.sort(indices), np.sort(expected.reshape(indices.shape))
        )
    assert not len(flat)
