"""Copies to a device wait for nothing."""

from unittest import mock

import pytest
import torch

from gtpt_mm.layers.transfer import send


@pytest.mark.parametrize('capturing', [False, True])
def test_copy_to_a_gpu_is_from_pinned_memory(capturing, monkeypatch):
    """Else it would wait for all work of the GPU; seen without one.

    Not while a graph is captured: its replay would read memory that is gone.
    """
    monkeypatch.setattr(
        torch.cuda, 'is_current_stream_capturing', lambda: capturing
    )
    device = torch.device('cuda', 0)
    tensor = mock.Mock(device=torch.device('cpu'))
    send(tensor, device)
    if capturing:
        tensor.to.assert_called_once_with(device)
        tensor.pin_memory.assert_not_called()
    else:
        pinned = tensor.pin_memory.return_value
        pinned.to.assert_called_once_with(device, non_blocking=True)
        tensor.to.assert_not_called()


def test_other_devices_wait():
    """A copy that does not wait may read memory that is given back."""
    tensor = mock.Mock(device=torch.device('cpu'))
    send(tensor, torch.device('mps'))
    tensor.to.assert_called_once_with(torch.device('mps'))


def test_what_is_there_is_not_copied():
    tensor = torch.arange(3)
    assert send(tensor, torch.device('cpu')) is tensor
