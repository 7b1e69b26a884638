"""``gtpt-mm download``: weights of a server on the loopback."""

import hashlib

import pytest
from support import hub

from gtpt_mm.apis.weights import PUBLIC, PublicWeights
from gtpt_mm.cli import main
from gtpt_mm.convert import save_state_dict


@pytest.fixture
def encoder(tmp_path, monkeypatch, make_encoder):
    """``mae-vit-b`` is a small file on the loopback."""
    monkeypatch.setenv('GTPT_MM_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('GTPT_MM_WEIGHTS', raising=False)
    monkeypatch.delenv('HF_HUB_OFFLINE', raising=False)
    path = tmp_path / 'mae.pth'
    save_state_dict(path, dict(model=make_encoder()), None)
    with hub.serve() as server:
        server.files['mae.pth'] = path.read_bytes()
        url = f'{server.url}/files/mae.pth'
        entry = PublicWeights('', url, 'timm', 'CC-BY-NC-4.0')
        monkeypatch.setitem(PUBLIC, 'mae-vit-b', entry)
        yield server


@pytest.fixture
def make_encoder():
    import torch

    def make() -> dict:
        names = {
            'cls_token': (1, 1, 8),
            'pos_embed': (1, 17, 8),
            'patch_embed.proj.weight': (8, 3, 16, 16),
            'patch_embed.proj.bias': (8,),
            'norm.weight': (8,),
            'norm.bias': (8,),
        }
        for part, shape in (
            ('norm1', (8,)),
            ('norm2', (8,)),
            ('attn.qkv', (24, 8)),
            ('attn.proj', (8, 8)),
            ('mlp.fc1', (32, 8)),
            ('mlp.fc2', (8, 32)),
        ):
            names[f'blocks.0.{part}.weight'] = shape
            names[f'blocks.0.{part}.bias'] = shape[:1]
        return {name: torch.randn(shape) for name, shape in names.items()}

    return make


def test_encoder_says_how_a_training_starts_from_it(encoder, capsys):
    assert main(['download', 'mae-vit-b']) == 0
    out = capsys.readouterr().out
    assert 'CC-BY-NC-4.0' in out and 'init_cfg.type=MAEPretrained' in out
    [file] = [
        w for w in out.split() if w.startswith('model') and 'checkpoint' in w
    ]
    from gtpt_mm.convert import convert_mae, read_state_dicts

    state, _ = read_state_dicts(file.partition('=')[2])
    weights, _ = convert_mae(state, (4, 4), 'pad')
    assert weights['backbone.pos_embed'].shape == (1, 16, 8)


def test_out_is_a_folder_for_computers_without_network(
    encoder, tmp_path, capsys, monkeypatch
):
    out = tmp_path / 'out'
    assert main(['download', 'mae-vit-b', '--out', str(out)]) == 0
    file, beside = sorted(out.iterdir())
    assert [file.name, beside.name] == [
        'mae-vit-b.safetensors',
        'mae-vit-b.safetensors.sha256',
    ]
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert beside.read_text() == f'{sha256}  mae-vit-b.safetensors\n'
    monkeypatch.setenv('GTPT_MM_CACHE', str(tmp_path / 'other'))
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    assert main(['download', 'mae-vit-b']) == 2
    assert 'GTPT_MM_WEIGHTS' in capsys.readouterr().err
    monkeypatch.setenv('GTPT_MM_WEIGHTS', str(out))
    assert main(['download', 'mae-vit-b']) == 0
    assert sha256 in capsys.readouterr().out
    assert main(['download', 'mae-vit-b', '--out', str(out)]) == 2
    assert 'exists; give --overwrite' in capsys.readouterr().err


def test_list_names_all_weights(encoder, capsys):
    main(['download', 'mae-vit-b'])
    capsys.readouterr()
    assert main(['download', '--list']) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines if line}
    assert set(PUBLIC) <= set(rows) and 'gtpt-t-wholebody' in rows
    assert 'cached' in rows['mae-vit-b'] and 'cached' not in rows['vitpose-b']
    assert 'huggingface.co/usyd-community/vitpose-base' in rows['vitpose-b']


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([], 'give names of weights, or --list'),
        (['vitpos-b'], 'near to it: vitpose-b'),
        (['gtpt-t'], 'github.com/haonanwang0522/GTPT'),
        (['hevitpose-b'], 'no public weights'),
    ],
)
def test_what_cannot_be_fetched_is_one_line(arguments, words, capsys):
    assert main(['download', *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line
