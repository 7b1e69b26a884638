"""Feed-forward networks with experts: each sample its own, in any mix."""

import pytest
import torch

from gtpt_mm.layers.expert_mlp import (
    KINDS,
    ExpertMLP,
    group_by_dataset,
    merge_expert,
)
from gtpt_mm.layers.mlp import MLP

COUNTS = (2, 0, 3)  # nothing of the second dataset


@pytest.fixture(params=KINDS)
def mlp(request):
    mlp = ExpertMLP(16, 64, num_experts=3, kind=request.param)
    for parameter in mlp.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return mlp


def by_hand(mlp, x, k):
    """The formulas of the paper for samples of one dataset."""
    kind = mlp.kind
    expert = mlp.experts[k]
    if kind == 'i':
        return expert(x)
    hidden = torch.nn.functional.gelu(mlp.fc1(x))
    if kind == 'ps':
        return torch.cat([mlp.fc2(hidden), expert(hidden)], dim=-1)
    return mlp.fc2(hidden) + expert(x)


def test_each_sample_goes_to_its_own_expert(mlp):
    x = torch.randn(5, 7, 16)
    expected = torch.cat([by_hand(mlp, x[:2], 0), by_hand(mlp, x[2:], 2)])
    torch.testing.assert_close(mlp(x, COUNTS), expected)
    with torch.no_grad():  # the route that leaves experts out
        torch.testing.assert_close(mlp(x, COUNTS), expected)


def test_absent_experts_have_gradients_of_zero(mlp):
    mlp(torch.randn(5, 7, 16), COUNTS).square().sum().backward()
    for name, parameter in mlp.named_parameters():
        assert parameter.grad is not None, name
        is_absent = name.startswith('experts.1.')
        assert parameter.grad.any() != is_absent, name


def test_inference_runs_only_the_experts_in_need(mlp):
    calls = []
    for k, expert in enumerate(mlp.experts):
        expert.register_forward_hook(lambda *_, k=k: calls.append(k))
    with torch.no_grad():
        mlp(torch.randn(4, 7, 16), (0, 4, 0))
        mlp(torch.randn(4, 7, 16), (1, 0, 3))
    assert calls == [1, 0, 2]


def test_merged_network_does_the_same(mlp):
    x = torch.randn(4, 7, 16)
    for k in range(3):
        counts = tuple(4 * (k == other) for other in range(3))
        state = merge_expert(mlp.state_dict(), k)
        merged = MLP(16, len(state['fc1.bias']))
        merged.load_state_dict(state)
        torch.testing.assert_close(
            merged(x), mlp(x, counts), atol=1e-6, rtol=1e-5
        )


@pytest.mark.parametrize('kind', KINDS)
def test_plain_weights_start_every_expert(kind):
    """A start from a plain network does, at first, what that does."""
    mlp = ExpertMLP(16, 64, num_experts=3, kind=kind)
    dense = MLP(16, 64)
    mlp.load_state_dict(dense.state_dict())
    x = torch.randn(5, 7, 16)
    torch.testing.assert_close(mlp(x, COUNTS), dense(x))
    # Copies: experts must not share memory.
    pointers = {p.data_ptr() for p in mlp.parameters()}
    assert len(pointers) == len(list(mlp.parameters()))


@pytest.mark.parametrize('kind', ['i', 'is'])
def test_random_start_of_the_ablations(kind):
    mlp = ExpertMLP(16, 64, num_experts=3, kind=kind)
    mlp.init_experts()
    x = torch.randn(2, 7, 16)
    first, second = (mlp.experts[k](x) for k in (0, 1))
    torch.testing.assert_close(first, second)
    assert first.any() == (kind == 'i')  # shared ones add zero


def test_experts_that_add_zero_can_learn():
    """All zeros could not: both layers would wait for each other."""
    mlp = ExpertMLP(16, 64, num_experts=2, kind='is')
    mlp.init_experts()
    optimizer = torch.optim.SGD(mlp.experts.parameters(), 0.1)
    x = torch.randn(3, 7, 16)
    for _ in range(2):
        mlp(x, (3, 0)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert mlp.experts[0].fc2.weight.any()
    mlp(x, (3, 0)).square().mean().backward()
    assert mlp.experts[0].fc1.weight.grad.any()


def test_grouping():
    assert group_by_dataset([0, 0, 2], 3) == ((2, 0, 1), None)
    groups = group_by_dataset(torch.tensor([2, 1, 2, 0]), 3)
    assert groups == ((1, 1, 2), [3, 1, 0, 2])
    assert groups.sort(torch.tensor([2, 1, 2, 0])).tolist() == [0, 1, 2, 2]
    assert groups.unsort_list(groups.sort_list('abcd')) == list('abcd')


def test_experts_of_a_model_are_merged_by_prefix(mlp):
    """Other tensors stay; an expert that is not there is named."""
    model = torch.nn.ModuleDict(dict(a=mlp, b=torch.nn.Linear(2, 2)))
    merged = merge_expert(model.state_dict(), 1)
    assert {n for n in merged if n[0] == 'b'} == {'b.weight', 'b.bias'}
    for name, value in merge_expert(mlp.state_dict(), 1).items():
        assert torch.equal(merged[f'a.{name}'], value)
    with pytest.raises(ValueError, match="no expert 3 in 'a.'"):
        merge_expert(model.state_dict(), 3)


@pytest.mark.parametrize(
    ('call', 'word'),
    [
        (lambda: group_by_dataset([0, 3], 3), '3'),
        (lambda: group_by_dataset([-1], 3), '-1'),
        (lambda: ExpertMLP(16, 64, 3, 'sparse'), 'sparse'),
        (lambda: ExpertMLP(16, 64, 0), 'num_experts'),
        (lambda: ExpertMLP(16, 64, 3, part_features=16), '16'),
        (
            lambda: ExpertMLP(16, 64, 3, 'is', 4),
            'part_features=4',
        ),
    ],
)
def test_bad_values_are_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()
