"""Two processes with different datasets train as one with all."""

import numpy as np
import pytest
import torch


@pytest.fixture(scope='module')
def folder(run_processes, tmp_path_factory):
    folder = tmp_path_factory.mktemp('two')
    run_processes('train_vitpose_plus.py', folder)
    return folder


@pytest.fixture(params=[False, True], ids=['whole-batch', 'own-samples'])
def records(request, folder):
    """What each process recorded, and what the one alone did."""
    return [
        torch.load(folder / f'{request.param}-{who}.pt', weights_only=True)
        for who in (0, 1, 'alone')
    ]


def test_losses_are_those_of_one_process(records):
    first, second, alone = (np.array(r['losses']) for r in records)
    assert len(alone) == 2
    np.testing.assert_allclose((first + second) / 2, alone, 1e-5)


def test_gradients_are_those_of_one_process(records):
    """Also of what one of the two, or neither, has samples for."""
    first, second, alone = (record['gradients'] for record in records)
    for one, other, expected in zip(first, second, alone, strict=True):
        assert set(one) == set(expected)
        largest = max(grad.norm() for grad in expected.values())
        for name, grad in expected.items():
            assert torch.equal(one[name], other[name]), name
            error = (one[name] - grad).norm()
            assert error < 1e-4 * grad.norm() + 1e-6 * largest, name
        assert not any(g.any() for n, g in one.items() if '.aic.' in n)
        assert any(g.any() for n, g in one.items() if '.coco.' in n)


def test_frozen_training_is_that_of_one_process(folder):
    """FreezeHook: DDP waits for no gradient of a frozen parameter."""
    first, second, alone = (
        torch.load(folder / f'frozen-{who}.pt', weights_only=True)
        for who in (0, 1, 'alone')
    )
    for name, value in alone['after'].items():
        assert torch.equal(first['after'][name], second['after'][name]), name
        torch.testing.assert_close(first['after'][name], value)
        is_trained = '.experts.2.' in name or '.mpii.final_layer.' in name
        assert torch.equal(value, alone['before'][name]) != is_trained, name
