"""Plain ViTPose under the names of every project, and ours."""

import pytest
import torch
from support.parity import note_state

from gtpt_mm.convert import (
    convert_vitpose,
    export_vitpose,
    find_vitpose_layout,
)
from gtpt_mm.convert.vitpose import LAYOUTS

FILES = [
    f'vit_{kind}_s{seed}'
    for kind in ('classic', 'simple')
    for seed in (13, 14)
]


@pytest.mark.parametrize('name', FILES)
def test_mmpose_layout_is_that_of_mmpose(name, read_vitpose_golden, sha256):
    """Row 0 folded, names and bytes as stock mmpose wants them."""
    recorded = read_vitpose_golden('mmpose_equivalents.json')
    [entry] = [v for k, v in recorded.items() if k.startswith(name)]
    source = read_vitpose_golden(f'{name}.pt')['state_dict']
    ours = convert_vitpose(source).state_dict
    theirs = export_vitpose(ours, 'mmpose').state_dict
    assert sha256(theirs) == entry['mmpose_format_sha256']
    note_state('ViTPose', theirs, theirs)  # same bytes


@pytest.mark.parametrize('layout', LAYOUTS)
def test_there_and_back(layout, official_vitpose, assert_equal):
    ours = convert_vitpose(official_vitpose()).state_dict
    back, no_place = export_vitpose(ours, layout)
    assert not no_place
    assert find_vitpose_layout(back) == layout
    again, left_out = convert_vitpose(back)
    assert not left_out
    assert_equal(again, ours)


def test_row_zero_is_folded_or_dropped_by_its_origin(official_vitpose):
    source = official_vitpose()
    table = source['backbone.pos_embed']
    ours = convert_vitpose(source).state_dict
    folded = table[:, 1:] + table[:, :1]
    torch.testing.assert_close(ours['backbone.pos_embed'], folded)

    theirs = export_vitpose(ours, 'mmpose').state_dict
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
def test_rows_of_mmposes_tables(
    num_rows, with_cls_token, kept, official_vitpose
):
    ours = convert_vitpose(official_vitpose()).state_dict
    theirs = export_vitpose(ours, 'mmpose').state_dict
    theirs['backbone.pos_embed'] = torch.zeros(1, num_rows, 8)
    if with_cls_token:
        theirs['backbone.cls_token'] = torch.zeros(1, 1, 8)
    ours, left_out = convert_vitpose(theirs)
    assert ours['backbone.pos_embed'].shape[1] == kept
    assert len(left_out) == (num_rows != kept) + with_cls_token


def test_leftovers_are_named(official_vitpose, fill):
    leftovers = {
        'backbone.cls_token': (1, 1, 8),
        'associate_keypoint_heads.0.final_layer.weight': (14, 8, 1, 1),
        'backbone.blocks.0.mlp.experts.3.weight': (2, 32),
    }
    ours, left_out = convert_vitpose(official_vitpose() | fill(leftovers))
    assert left_out == list(leftovers)
    assert set(ours) == set(convert_vitpose(official_vitpose()).state_dict)


def test_wrapped_names_are_read(official_vitpose):
    source = {
        f'module.{key}': value for key, value in official_vitpose().items()
    }
    assert convert_vitpose(source).left_out == []


def test_bad_checkpoints_are_named(official_vitpose):
    with pytest.raises(ValueError, match='surprise'):
        convert_vitpose(official_vitpose() | {'surprise': torch.zeros(1)})
    # A name that another project would use is not one of the authors'.
    wrong = {'backbone.blocks.0.ln1.weight': torch.zeros(8)}
    with pytest.raises(ValueError, match='blocks.0.ln1'):
        convert_vitpose(official_vitpose() | wrong)
    source = official_vitpose()
    del source['backbone.blocks.1.mlp.fc1.bias']
    with pytest.raises(ValueError, match='layers.1.mlp.fc1.bias'):
        convert_vitpose(source)
    with pytest.raises(ValueError, match='stem.weight'):
        convert_vitpose({'stem.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match='caffe'):
        export_vitpose({}, 'caffe')
    with pytest.raises(ValueError, match='stem.weight'):
        export_vitpose({'stem.weight': torch.zeros(1)})
    ours = convert_vitpose(official_vitpose()).state_dict
    del ours['backbone.layers.1.norm2.bias']
    for layout in LAYOUTS:
        with pytest.raises(ValueError, match='layers.1.norm2.bias'):
            export_vitpose(ours, layout)
