"""Copies to a device wait for nothing."""

from unittest import mock

import torch

from gtpt_mm.layers.transfer import send


def test_copy_to_a_gpu_is_from_pinned_memory():
    """Else it would wait for all work of the GPU; seen without one."""
    device = torch.device('cuda', 0)
    tensor = mock.Mock(device=torch.device('cpu'))
    send(tensor, device)
    pinned = tensor.pin_memory.return_value
    pinned.to.assert_called_once_with(device, non_blocking=True)
    tensor.to.assert_not_called()


def test_what_is_there_is_not_copied():
    tensor = torch.arange(3)
    assert send(tensor, torch.device('cpu')) is tensor
