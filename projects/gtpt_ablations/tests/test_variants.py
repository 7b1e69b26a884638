"""The variants learn, count as the paper does, and change one thing only."""

import pytest
import torch
from support.gtpt_attention import DENSE_GROUPS, check_maps, make

from gtpt_mm.layers.group_attention import GroupAttention
from gtpt_mm.layers.tokens import TokenLayout
from gtpt_mm.models import GTPT
from gtpt_mm.models.backbones.keypoint_groups import Stage
from projects.gtpt_ablations.models import (
    MHSAGTPT,
    AddedDenseGTPT,
    DenseGTPT,
    MaskFreeGTPT,
    SparseDenseGTPT,
    UngroupedGTPT,
    every_row,
)

ONE_GROUP = [dict(sparse=range(5), parts=[[5, 6, 7], [8], [9, 10]])]


class Everything(AddedDenseGTPT, MHSAGTPT, DenseGTPT):
    """Several choices together."""


VARIANTS = [
    (SparseDenseGTPT, DENSE_GROUPS),
    (DenseGTPT, DENSE_GROUPS),
    (MaskFreeGTPT, DENSE_GROUPS),
    (MHSAGTPT, DENSE_GROUPS),
    (AddedDenseGTPT, DENSE_GROUPS),
    (Everything, DENSE_GROUPS),
    (UngroupedGTPT, ONE_GROUP),
    (DenseGTPT, [dict(sparse=range(5))]),
]
IDS = [f'{kind.__name__}-{len(groups)}' for kind, groups in VARIANTS]


@pytest.fixture
def img():
    torch.manual_seed(0)
    return torch.randn(2, 3, 128, 96)


@pytest.mark.parametrize(('kind', 'groups'), VARIANTS, ids=IDS)
def test_variants_learn_in_every_parameter(kind, groups, img):
    model = make(groups, kind).train()
    pruned, full = model(img)
    assert pruned.shape == full.shape == (2, model.groups.num_keypoints, 64)
    (pruned.square().sum() + full.square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ('kind', 'groups'), [(GTPT, DENSE_GROUPS), *VARIANTS], ids=['GTPT', *IDS]
)
@pytest.mark.parametrize('keep_rates', [(1.0, 0.7, 0.5, 0.3), (1.0,) * 4])
def test_rows_that_nothing_reads_change_nothing(kind, groups, keep_rates, img):
    model = make(groups, kind, keep_rates=keep_rates).double()
    plain = make(groups, every_row(kind), keep_rates=keep_rates).double()
    plain.load_state_dict(model.state_dict())
    for x, y in zip(model(img.double()), plain(img.double()), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('pruned', [True, False])
@pytest.mark.parametrize(
    ('kind', 'human_layers'),
    [
        (MHSAGTPT, 3),
        (AddedDenseGTPT, 3),
        (SparseDenseGTPT, 0),
        (DenseGTPT, 0),
        (every_row(GTPT), 3),
    ],
)
def test_attention_maps_are_what_the_variant_applies(
    kind, human_layers, pruned, img, monkeypatch
):
    model = make(kind=kind)
    check_maps(model, img, pruned, monkeypatch, human_layers)


def test_dense_keypoints_displace_or_add_tokens(img):
    for kind, size in ((GTPT, 32), (AddedDenseGTPT, 32 + 3)):
        [*_, transition, _] = make(kind=kind).trace_pruning(img)[1]
        assert transition.indices.shape == (2, 3, size)
        # Groups have 3, 3 and 0 dense keypoints.
        counts = (transition.indices >= 0).sum(2)[0].tolist()
        assert counts == ([29, 29, 32] if kind is GTPT else [32, 32, 32])


def test_fillers_do_not_influence_anything(img):
    """Added dense keypoints of a short group are padding."""
    model = make(kind=AddedDenseGTPT).double()
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
    torch.manual_seed(0)
    layout = make(kind=MHSAGTPT).groups.layout(Stage.DENSE)
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


def test_parameters_have_the_names_of_the_model():
    names = set(make().state_dict())
    assert set(make(kind=AddedDenseGTPT).state_dict()) == names
    assert set(make(kind=MHSAGTPT).state_dict()) == names
    assert names - set(make(kind=SparseDenseGTPT).state_dict()) == {
        'human_token'
    }
    assert names - set(make(kind=DenseGTPT).state_dict()) == {
        'human_token',
        'part_embed',
    }
