import numpy as np
import pytest
import torch
from support.parity import note

from gtpt_mm.cli import main
from gtpt_mm.convert import convert_gtpt, export_gtpt
from gtpt_mm.models import GTPT

FILES = [
    f'weights_{size}_{task}_d32_seed0'
    for size in 'ts'
    for task in ('human', 'wholebody')
]


def read_official(gtpt_goldens, name):
    return {
        key: torch.from_numpy(value)
        for key, value in gtpt_goldens.npz(name).items()
        if key != 'meta'
    }


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('half', ['ema', 'model'])
def test_every_tensor_arrives_and_returns(name, half, gtpt_goldens):
    official = read_official(gtpt_goldens, name)
    native = convert_gtpt(official, half)
    back = export_gtpt(native)
    prefix = 'ema_' if half == 'ema' else ''
    for key, value in official.items():
        if key.endswith(('.mask', 'pos_embedding')):
            continue
        if key.startswith('ema_') == (half == 'ema'):
            bare = key.removeprefix(prefix)
            note('GTPT', 'checkpoints', back[bare], value)
            torch.testing.assert_close(back[bare], value)
            torch.testing.assert_close(back['ema_' + bare], value)
    num_ema = sum(k.startswith('ema_') for k in back)
    assert num_ema == len(native) == len(back) - num_ema


@pytest.mark.parametrize('size', 'tsb')
def test_full_size_names_load_strictly(size, gtpt_goldens):
    table = gtpt_goldens.json('name_table')[f'{size}_human']
    official = {name: torch.zeros(shape) for name, _, shape, _ in table}
    native = convert_gtpt(official, 'model')
    arch = dict(t='tiny', s='small', b='base')[size]
    state = {
        key.removeprefix('backbone.'): value
        for key, value in native.items()
        if key.startswith('backbone.')
    }
    GTPT(arch).load_state_dict(state, strict=True)


def test_position_table_in_the_file_is_the_one_we_compute(gtpt_goldens):
    official = read_official(gtpt_goldens, FILES[0])
    model = GTPT(dict(embed_dims=32, stem_channels=128))
    np.testing.assert_allclose(
        official['features.pos_embedding'][0], model.pos_table, 0, 1e-6
    )


def test_module_prefix_is_ignored(gtpt_goldens):
    official = read_official(gtpt_goldens, FILES[0])
    wrapped = {f'module.{key}': value for key, value in official.items()}
    assert set(convert_gtpt(wrapped)) == set(convert_gtpt(official))


def test_unknown_key_is_named(gtpt_goldens):
    official = read_official(gtpt_goldens, FILES[0])
    official['features.surprise'] = torch.zeros(1)
    with pytest.raises(ValueError, match='surprise'):
        convert_gtpt(official)


def test_other_models_are_not_exported():
    with pytest.raises(ValueError, match='not a native GTPT checkpoint'):
        export_gtpt({'x': torch.zeros(1)})


def test_missing_half_is_named():
    with pytest.raises(ValueError, match="'ema'"):
        convert_gtpt({'features.human_token': torch.zeros(1, 1, 32)}, 'ema')
    with pytest.raises(ValueError, match='best'):
        convert_gtpt({}, 'best')


def test_command_line(gtpt_goldens, tmp_path, capsys):
    official = read_official(gtpt_goldens, FILES[0])
    torch.save(official, tmp_path / 'model_best.pth')
    source, target = str(tmp_path / 'model_best.pth'), tmp_path / 'gtpt.pth'
    assert main(['convert', source, str(target)]) == 0
    state = torch.load(target, weights_only=True)['state_dict']
    assert set(state) == set(convert_gtpt(official))
    assert main(['convert', source, str(target)]) == 2
    assert 'overwrite' in capsys.readouterr().err
    back = str(tmp_path / 'back.pth')
    assert main(['convert', str(target), back, '--to', 'official']) == 0
    torch.save({'x': torch.zeros(1)}, tmp_path / 'other.pth')
    assert main(['convert', str(tmp_path / 'other.pth'), back + '2']) == 2
    assert "'x'" in capsys.readouterr().err
    other = str(tmp_path / 'other.pth')
    assert main(['convert', other, back + '2', '--to', 'official']) == 2
    assert "'x'" in capsys.readouterr().err
    assert main(['convert', str(tmp_path / 'none.pth'), back + '2']) == 2
    assert 'none.pth' in capsys.readouterr().err


def test_incomplete_checkpoint_is_refused(gtpt_goldens):
    official = read_official(gtpt_goldens, FILES[0])
    name = 'transformer.group_layers.3.0.fn.fn.to_out.0.bias'
    del official[f'ema_features.{name}']
    convert_gtpt(official, 'model')
    with pytest.raises(ValueError, match='layers.9.attn.proj.bias'):
        convert_gtpt(official, 'ema')


def test_reverse_keeps_both_halves_of_a_training_checkpoint(
    gtpt_goldens, tmp_path
):
    official = read_official(gtpt_goldens, FILES[0])
    average, trained = (
        convert_gtpt(official, half) for half in ('ema', 'model')
    )
    behind = {f'module.{key}': value for key, value in trained.items()}
    checkpoint = dict(
        state_dict=average, ema_state_dict=behind | dict(steps=torch.zeros(()))
    )
    torch.save(checkpoint, tmp_path / 'native.pth')
    target = tmp_path / 'official.pth'
    command = ['convert', str(tmp_path / 'native.pth'), str(target)]
    assert main([*command, '--to', 'official']) == 0
    back = torch.load(target, weights_only=True)
    for key, value in back.items():
        torch.testing.assert_close(value, official[key])
