"""``gtpt-mm convert`` from file to file."""

import sys

import pytest
import torch

from gtpt_mm.cli import main
from gtpt_mm.cli.convert import TARGETS
from gtpt_mm.convert import (
    convert_vitpose,
    find_vitpose_layout,
    read_state_dicts,
    split_state_dict,
)
from gtpt_mm.convert.vitpose import LAYOUTS


def test_every_project_is_a_target():
    assert ('native', *LAYOUTS) == TARGETS


@pytest.fixture
def convert(tmp_path, capsys):
    """Run the command on names in a folder; return its code and output."""

    def run(source: str, target: str, *options: str) -> tuple[int, str]:
        code = main(
            ['convert', str(tmp_path / source), str(tmp_path / target)]
            + list(options)
        )
        out, err = capsys.readouterr()
        return code, out + err

    return run


def read(path) -> dict[str, torch.Tensor]:
    return read_state_dicts(path)[0]


@pytest.mark.parametrize('entry', ['state_dict', 'model', 'module', None])
def test_every_kind_of_file_is_read(
    entry, convert, official_vitpose, tmp_path, assert_equal
):
    source = official_vitpose() | {'backbone.cls_token': torch.zeros(1, 1, 8)}
    content = {entry: source, 'meta': dict(epoch=210)} if entry else source
    torch.save(content, tmp_path / 'foreign.pth')
    code, printed = convert('foreign.pth', 'native.pth')
    assert code == 0
    assert 'source: ViTPose, official names' in printed
    assert 'first row' in printed and 'backbone.cls_token' in printed
    native = read(tmp_path / 'native.pth')
    assert_equal(native, convert_vitpose(source).state_dict)
    meta = torch.load(tmp_path / 'native.pth', weights_only=True)['meta']
    assert meta['converted_from'] == 'foreign.pth'


@pytest.mark.parametrize(
    ('project', 'target'),
    [
        ('official', 'foreign.pth'),
        ('mmpose', 'foreign.pth'),
        ('huggingface', 'foreign.safetensors'),
        ('huggingface', 'foreign.pth'),
    ],
)
def test_round_trip(
    project, target, convert, official_vitpose, tmp_path, assert_equal
):
    native = convert_vitpose(official_vitpose()).state_dict
    torch.save(native, tmp_path / 'native.pth')
    code, printed = convert('native.pth', target, '--to', project)
    assert code == 0, printed
    assert ('layer_norm_eps' in printed) == (project == 'huggingface')
    assert find_vitpose_layout(read(tmp_path / target)) == project
    assert convert(target, 'back/native.pth')[0] == 0
    assert_equal(read(tmp_path / 'back/native.pth'), native)


def test_from_one_foreign_project_to_another(
    convert, official_vitpose, tmp_path
):
    torch.save(official_vitpose(), tmp_path / 'foreign.pth')
    assert convert('foreign.pth', 'stock.pth', '--to', 'mmpose')[0] == 0
    assert find_vitpose_layout(read(tmp_path / 'stock.pth')) == 'mmpose'


def test_plus_and_its_split(convert, official_vitpose, tmp_path, assert_equal):
    source = official_vitpose(plus=True)
    torch.save(dict(state_dict=source), tmp_path / 'plus.pth')
    code, printed = convert('plus.pth', 'native.pth')
    assert code == 0 and '6 experts, heads of coco, aic, mpii' in printed
    native = read(tmp_path / 'native.pth')

    code, printed = convert('native.pth', 'mpii.pth', '--dataset', 'mpii')
    assert code == 0 and 'split' in printed
    dense = read(tmp_path / 'mpii.pth')
    assert_equal(dense, split_state_dict(native, 'mpii'))

    options = ('--to', 'mmpose', '--dataset', 'mpii')
    assert convert('plus.pth', 'stock.pth', *options)[0] == 0
    assert find_vitpose_layout(read(tmp_path / 'stock.pth')) == 'mmpose'

    options = ('--to', 'official', '--dataset', 'aic')  # as their own script
    assert convert('plus.pth', 'aic.pth', *options)[0] == 0
    split = read(tmp_path / 'aic.pth')
    assert len(split['keypoint_head.final_layer.bias']) == 14
    assert not [k for k in split if 'expert' in k or 'associate' in k]

    code, printed = convert('plus.pth', 'x.pth', '--to', 'mmpose')
    assert code == 2 and 'dataset' in printed
    code, printed = convert('mpii.pth', 'x.pth', '--dataset', 'mpii')
    assert code == 2 and 'split before' in printed

    target = 'model.safetensors'
    code, printed = convert('native.pth', target, '--to', 'huggingface')
    assert code == 0 and 'head.heads.wholebody.final_layer' in printed
    code, printed = convert(target, 'again.pth')
    assert code == 0 and 'heads of coco; none of aic, mpii' in printed
    code, printed = convert(target, 'x.pth', '--dataset', 'mpii')
    assert code == 2 and "'mpii'" in printed


def test_average_is_converted_and_said(
    convert, official_vitpose, tmp_path, assert_equal
):
    """mmengine's EMA keeps the trained weights beside the average."""
    native = convert_vitpose(official_vitpose()).state_dict
    trained = {f'module.{key}': value + 1 for key, value in native.items()}
    content = dict(state_dict=native, ema_state_dict=trained)
    torch.save(content, tmp_path / 'native.pth')
    code, printed = convert('native.pth', 'foreign.pth', '--to', 'mmpose')
    assert code == 0
    [line] = [li for li in printed.splitlines() if 'ema_state_dict' in li]
    assert line.startswith('left out')
    back = convert_vitpose(read(tmp_path / 'foreign.pth')).state_dict
    assert_equal(back, native)


@pytest.mark.parametrize('weights', ['averaged', 'trained'])
def test_either_set_of_weights_is_taken_out(
    weights, convert, official_vitpose, tmp_path, assert_equal
):
    native = convert_vitpose(official_vitpose()).state_dict
    trained = {key: value + 1 for key, value in native.items()}
    expected = native if weights == 'averaged' else trained
    content = dict(
        meta=dict(epoch=3),
        state_dict=native,
        ema_state_dict=dict(steps=torch.tensor(8))
        | {f'module.{key}': value for key, value in trained.items()},
    )
    torch.save(content, tmp_path / 'native.pth')
    options = ('--weights', weights)
    assert convert('native.pth', 'one.pth', *options)[0] == 0
    written = torch.load(tmp_path / 'one.pth', weights_only=True)
    assert_equal(written['state_dict'], expected)
    assert written['meta'] == dict(
        converted_from='native.pth', weights=weights
    )
    code, printed = convert('native.pth', 'it.pth', '--to', 'mmpose', *options)
    assert code == 0 and 'left out: ema_state_dict' not in printed
    back = convert_vitpose(read(tmp_path / 'it.pth')).state_dict
    assert_equal(back, expected)

    code, printed = convert('one.pth', 'x.pth', *options)
    assert code == 2 and 'no ema_state_dict' in printed
    code, printed = convert(
        'native.pth', 'x.pth', '--to', 'official', *options
    )
    assert code == 2 and '--to official' in printed
    assert not (tmp_path / 'x.pth').exists()


def test_all_unknown_keys_are_named(convert, official_vitpose, tmp_path):
    extra = {f'backbone.extra.{i}': torch.zeros(1) for i in range(12)}
    torch.save(official_vitpose() | extra, tmp_path / 'foreign.pth')
    code, printed = convert('foreign.pth', 'native.pth')
    assert code == 2
    for name in extra:
        assert name in printed


def test_mae_encoder(convert, read_vitpose_golden, tmp_path):
    encoder = read_vitpose_golden('mae_load_p14_s11.pt')['mae_model']
    torch.save(dict(model=encoder), tmp_path / 'mae.pth')
    code, printed = convert('mae.pth', 'start.pth', '--img-size', '64', '48')
    assert code == 0 and '(4, 3)' in printed
    assert 'backbone.norm.weight' in printed
    start = read(tmp_path / 'start.pth')
    assert start['backbone.pos_embed'].shape == (1, 12, 48)
    # Stock mmpose cannot read FAIR's own file.
    assert convert('mae.pth', 'stock.pth', '--to', 'mmpose')[0] == 0
    stock = read(tmp_path / 'stock.pth')
    assert stock['backbone.pos_embed'].shape == (1, 192, 48)
    assert 'backbone.layers.2.ffn.layers.1.bias' in stock
    code, printed = convert('mae.pth', 'x.pth', '--to', 'huggingface')
    assert code == 2 and 'encoder alone' in printed


@pytest.mark.parametrize(
    ('target', 'options', 'word'),
    [
        ('x.pth', ('--half', 'ema'), '--half'),
        ('x.pth', ('--img-size', '64', '48'), '--img-size'),
        ('x.pth', ('--patch-padding', 'pad'), '--patch-padding'),
        ('x.pth', ('--to', 'official'), 'already'),
        ('x.pth', ('--dataset', 'coco'), 'split before'),
        ('x.safetensors', ('--to', 'official'), '--to official'),
    ],
)
def test_options_without_use_are_refused(
    target, options, word, convert, official_vitpose, tmp_path
):
    torch.save(official_vitpose(), tmp_path / 'foreign.pth')
    code, printed = convert('foreign.pth', target, *options)
    assert code == 2 and word in printed
    assert not (tmp_path / target).exists()


@pytest.mark.parametrize(
    ('content', 'word'),
    [
        ([1.0], 'list'),
        (dict(epoch=3), "'epoch'"),
        (dict(state_dict={'stem.weight': torch.zeros(1)}), 'stem.weight'),
    ],
)
def test_files_without_a_known_model_are_refused(
    content, word, convert, tmp_path
):
    torch.save(content, tmp_path / 'other.pth')
    code, printed = convert('other.pth', 'x.pth')
    assert code == 2 and word in printed


def test_bad_safetensors_are_named(convert, tmp_path, monkeypatch):
    code, printed = convert('none.safetensors', 'x.pth')
    assert code == 2 and 'none.safetensors' in printed
    (tmp_path / 'bad.safetensors').write_bytes(b'1234')
    code, printed = convert('bad.safetensors', 'x.pth')
    assert code == 2 and 'cannot be read' in printed
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    code, printed = convert('bad.safetensors', 'x.pth')
    assert code == 2 and 'pip install safetensors' in printed
