"""ViTPose under the names of its authors, of mmpose, and ours."""

import hashlib

import pytest
import torch

from gtpt_mm.cli import main
from gtpt_mm.convert import (
    convert_vitpose,
    find_vitpose_layout,
    revert_vitpose,
)

FILES = [
    f'vit_{kind}_s{seed}'
    for kind in ('classic', 'simple')
    for seed in (13, 14)
]


def fill(names: dict[str, tuple]) -> dict[str, torch.Tensor]:
    return {name: torch.randn(shape) for name, shape in names.items()}


def official(num_rows: int = 13) -> dict[str, torch.Tensor]:
    """A small authors' checkpoint, two blocks of 8 channels."""
    names = {
        'pos_embed': (1, num_rows, 8),
        'patch_embed.proj.weight': (8, 3, 16, 16),
        'patch_embed.proj.bias': (8,),
        'last_norm.weight': (8,),
        'last_norm.bias': (8,),
    }
    for i in range(2):
        for part, shape in dict(
            norm1=(8,), norm2=(8,), qkv=(24, 8), proj=(8, 8),
            fc1=(32, 8), fc2=(8, 32),
        ).items():  # fmt: skip
            group = dict(qkv='attn.', proj='attn.', fc1='mlp.', fc2='mlp.')
            part = f'blocks.{i}.{group.get(part, "")}{part}'
            names[f'{part}.weight'] = shape
            names[f'{part}.bias'] = shape[:1]
    names = {f'backbone.{name}': shape for name, shape in names.items()}
    head = 'keypoint_head.final_layer'
    return fill(names | {f'{head}.weight': (3, 8, 3, 3), f'{head}.bias': (3,)})


@pytest.mark.parametrize('name', FILES)
def test_mmpose_layout_is_that_of_mmpose(name, read_vitpose_golden):
    """Row 0 folded, names and bytes as stock mmpose wants them."""
    recorded = read_vitpose_golden('mmpose_equivalents.json')
    [entry] = [v for k, v in recorded.items() if k.startswith(name)]
    source = read_vitpose_golden(f'{name}.pt')['state_dict']
    ours = convert_vitpose(source).state_dict
    theirs = revert_vitpose(ours, 'mmpose')
    hashes = {
        key: hashlib.sha256(value.numpy().tobytes()).hexdigest()
        for key, value in theirs.items()
    }
    assert hashes == entry['mmpose_format_sha256']


@pytest.mark.parametrize('layout', ['authors', 'mmpose'])
def test_there_and_back(layout):
    ours = convert_vitpose(official()).state_dict
    back = revert_vitpose(ours, layout)
    assert find_vitpose_layout(back) == layout
    again, left_out = convert_vitpose(back)
    assert not left_out
    assert set(again) == set(ours)
    for key, value in ours.items():
        torch.testing.assert_close(again[key], value, atol=0, rtol=0)


def test_row_zero_is_folded_or_dropped_by_its_origin():
    source = official()
    table = source['backbone.pos_embed']
    ours = convert_vitpose(source).state_dict
    folded = table[:, 1:] + table[:, :1]
    torch.testing.assert_close(ours['backbone.pos_embed'], folded)

    theirs = revert_vitpose(ours, 'mmpose')
    theirs['backbone.pos_embed'] = table  # as in mmpose's files of 2023
    ours, left_out = convert_vitpose(theirs)
    torch.testing.assert_close(ours['backbone.pos_embed'], table[:, 1:])
    assert left_out == ['backbone.pos_embed[:, :1]']


@pytest.mark.parametrize(
    ('num_rows', 'with_cls_token', 'kept'),
    [
        (192, False, 192),
        (193, False, 192),
        (193, True, 192),
        (196, False, 196),
        (197, False, 196),
        (432, False, 432),
        (433, False, 432),
        (49, False, 49),  # 7 x 7, not 8 x 6 and a row
        (49, True, 48),
        (101, False, 100),
        (107, False, 107),  # of no usual grid: as it is
    ],
)
def test_rows_of_mmposes_tables(num_rows, with_cls_token, kept):
    theirs = revert_vitpose(convert_vitpose(official()).state_dict, 'mmpose')
    theirs['backbone.pos_embed'] = torch.zeros(1, num_rows, 8)
    if with_cls_token:
        theirs['backbone.cls_token'] = torch.zeros(1, 1, 8)
    ours, left_out = convert_vitpose(theirs)
    assert ours['backbone.pos_embed'].shape[1] == kept
    assert len(left_out) == (num_rows != kept) + with_cls_token


def test_leftovers_are_named():
    leftovers = {
        'backbone.cls_token': (1, 1, 8),
        'associate_keypoint_heads.0.final_layer.weight': (14, 8, 1, 1),
        'backbone.blocks.0.mlp.experts.3.weight': (2, 32),
    }
    ours, left_out = convert_vitpose(official() | fill(leftovers))
    assert left_out == list(leftovers)
    assert set(ours) == set(convert_vitpose(official()).state_dict)


def test_wrapped_names_are_read():
    source = {f'module.{key}': value for key, value in official().items()}
    assert convert_vitpose(source).left_out == []


def test_vitpose_plus_plus_is_refused_before_its_split(read_vitpose_golden):
    source = read_vitpose_golden('vit_moe_s12.pt')['state_dict']
    with pytest.raises(ValueError, match='ViTPose\\+\\+ before its split'):
        convert_vitpose(source)


def test_bad_checkpoints_are_named():
    with pytest.raises(ValueError, match='surprise'):
        convert_vitpose(official() | {'surprise': torch.zeros(1)})
    # A name that another project would use is not one of the authors'.
    wrong = {'backbone.blocks.0.ln1.weight': torch.zeros(8)}
    with pytest.raises(ValueError, match='blocks.0.ln1'):
        convert_vitpose(official() | wrong)
    source = official()
    del source['backbone.blocks.1.mlp.fc1.bias']
    with pytest.raises(ValueError, match='layers.1.mlp.fc1.bias'):
        convert_vitpose(source)
    with pytest.raises(ValueError, match='stem.weight'):
        convert_vitpose({'stem.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match='caffe'):
        revert_vitpose({}, 'caffe')
    with pytest.raises(ValueError, match='stem.weight'):
        revert_vitpose({'stem.weight': torch.zeros(1)})


def test_command_line(tmp_path, capsys):
    source = official() | {'backbone.cls_token': torch.zeros(1, 1, 8)}
    paths = [str(tmp_path / f'{i}.pth') for i in range(4)]
    torch.save(dict(state_dict=source, meta=dict(epoch=210)), paths[0])
    assert main(['convert', paths[0], paths[1]]) == 0
    assert 'backbone.cls_token' in capsys.readouterr().out
    state = torch.load(paths[1], weights_only=True)['state_dict']
    assert set(state) == set(convert_vitpose(source).state_dict)
    for target, options, layout in (
        (paths[2], (), 'authors'),
        (paths[3], ('--layout', 'mmpose'), 'mmpose'),
    ):
        assert main(['convert', paths[1], target, '--reverse', *options]) == 0
        back = torch.load(target, weights_only=True)
        assert find_vitpose_layout(back) == layout
    for options, word in (
        (('--half', 'ema'), 'ViTPose'),
        (('--layout', 'mmpose'), '--reverse'),
        (('--half', 'ema', '--reverse'), '--half'),
    ):
        assert main(['convert', paths[0], paths[0] + 'x', *options]) == 2
        assert word in capsys.readouterr().err
