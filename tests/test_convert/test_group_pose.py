"""Official Group Pose checkpoints, on the command line and damaged."""

import argparse
import pickle
from fractions import Fraction

import pytest
import torch

from gtpt_mm.cli import main
from gtpt_mm.convert import (
    convert_group_pose,
    export_group_pose,
    read_state_dicts,
)


@pytest.fixture
def official(group_pose_goldens):
    path = group_pose_goldens / 'checkpoint_official_layout_k17_h64.pth'
    return path, read_state_dicts(str(path))[0]


def run(*words) -> int:
    return main(['convert', *map(str, words)])


def test_command_line_both_ways(official, tmp_path):
    path, state_dict = official
    native, back = tmp_path / 'native.pth', tmp_path / 'back.pth'
    assert run(path, native) == 0
    assert run(native, back, '--to', 'official') == 0
    exported = torch.load(back, weights_only=True)
    assert set(exported) == set(state_dict)
    for key, value in state_dict.items():
        assert torch.equal(exported[key], value), key


def test_half_is_refused(official, tmp_path, capsys):
    path, _ = official
    assert run(path, tmp_path / 'x.pth', '--half', 'ema') == 2
    assert 'no effect on this source: Group Pose' in capsys.readouterr().err


def test_damage_is_named(official):
    _, state_dict = official
    key = 'transformer.decoder.layers.1.norm2.bias'
    part = {k: v for k, v in state_dict.items() if k != key}
    with pytest.raises(ValueError, match=r'lacks 1 .*layers\.1\.ffn\.norm'):
        convert_group_pose(part)
    with pytest.raises(ValueError, match='1 keys do not belong .*backbne'):
        convert_group_pose(state_dict | {'backbne.conv1': torch.zeros(1)})
    copy = 'transformer.decoder.class_embed.0.bias'
    with pytest.raises(ValueError, match='not a copy of class_embed.0.bias'):
        convert_group_pose(state_dict | {copy: torch.ones(2)})


def test_ablations_have_no_official_names(official):
    weights = convert_group_pose(official[1])
    name = 'head.decoder.layers.0.self_attn.attn.qkv.weight'
    with pytest.raises(ValueError, match='not belong .*self_attn.attn'):
        export_group_pose(weights | {name: torch.zeros(1)})


def test_only_a_namespace_is_allowed(tmp_path):
    """Other types could run code while they are read."""
    path = tmp_path / 'x.pth'
    weights = {'a': torch.zeros(1)}
    torch.save(dict(model=weights, args=argparse.Namespace(lr=1)), path)
    assert set(read_state_dicts(str(path))[0]) == {'a'}
    torch.save(dict(model=weights, args=Fraction(1, 2)), path)
    with pytest.raises(
        pickle.UnpicklingError, match='it holds fractions.Fraction'
    ):
        read_state_dicts(str(path))
