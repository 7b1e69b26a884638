"""Public weights: from a hub and from URLs on the loopback, by the cache."""

import hashlib
import json
import multiprocessing
import shutil
import socket
import time

import pytest
import torch
from safetensors.torch import save
from support.runs import run_python
from support.tiny_vitpose import CONFIG

import gtpt_mm
from gtpt_mm.apis.weights import (
    PUBLIC,
    FetchError,
    PublicWeights,
    cache_folder,
    get_weights,
)
from gtpt_mm.convert import (
    convert_vitpose,
    export_vitpose,
    read_state_dicts,
    save_state_dict,
    write_state_dict,
)
from gtpt_mm.models import ViTPose


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def heatmaps_agree(model, theirs, **options):
    img = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        own = model(img, None, mode='tensor')
        expected = theirs(img, **options).heatmaps
    assert expected.std() > 0.1
    torch.testing.assert_close(own, expected, atol=2e-5, rtol=1e-5)


def test_model_of_the_hub_equals_transformers(on_the_hub):
    model = gtpt_mm.load_model('tiny', device='cpu')
    heatmaps_agree(model, on_the_hub['plain'])
    assert model.weights_source == 'hf://me/tiny'
    assert not model.training
    assert model.dataset_meta['num_keypoints'] == 17


def test_plus_of_the_hub_equals_transformers(on_the_hub):
    model = gtpt_mm.load_model('tiny-plus', device='cpu')
    index = torch.zeros(2, dtype=torch.long)
    heatmaps_agree(model, on_the_hub['plus'], dataset_index=index)
    assert model.cfg.dataset_type == 'CocoDataset'


def test_hub_has_no_head_of_other_datasets(on_the_hub, server):
    with pytest.raises(ValueError, match="head of coco, none of 'aic'"):
        gtpt_mm.load_model('tiny-plus', device='cpu', dataset='aic')
    assert not server.asked  # nothing is fetched for it


def test_second_time_nothing_is_asked(on_the_hub, server):
    first = get_weights('tiny')
    server.asked.clear()
    assert get_weights('tiny') == first
    assert not server.asked
    assert first.sha256 == sha256(first.path.read_bytes())
    assert first.source_sha256 == sha256(
        server.models['me/tiny']['model.safetensors']
    )
    assert json.loads((cache_folder() / 'tiny.json').read_text()) == {
        'file': first.path.name,
        'sha256': first.sha256,
        'source': 'hf://me/tiny',
        'source_sha256': first.source_sha256,
        'licence': 'MIT',
        'converter': 'huggingface',
    }


def test_sharded_repository_is_one_state_dict(on_the_hub, server, tiny):
    whole = get_weights('tiny')
    state, _ = read_state_dicts(whole.path)
    theirs = list(tiny[0][0].state_dict().items())
    server.models['me/tiny'] = {
        'model-00001-of-00002.safetensors': save(dict(theirs[:9])),
        'model-00002-of-00002.safetensors': save(dict(theirs[9:])),
    }

    again = get_weights('tiny', refresh=True)
    assert again.file != whole.file
    for key, value in read_state_dicts(again.path)[0].items():
        torch.testing.assert_close(value, state[key], atol=0, rtol=0)


def test_file_that_transformers_has_is_not_fetched_again(
    on_the_hub, server, monkeypatch
):
    get_weights('tiny')  # leaves it in the cache of the Hub's client
    (cache_folder() / 'tiny.json').unlink()
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    server.asked.clear()
    assert get_weights('tiny').source == 'hf://me/tiny'
    assert not server.asked


def test_damaged_cache_is_an_error_until_refreshed(on_the_hub):
    stored = get_weights('tiny')
    data = bytearray(stored.path.read_bytes())
    data[-1] ^= 1
    stored.path.write_bytes(data)
    with pytest.raises(ValueError) as error:
        gtpt_mm.load_model('tiny')
    for word in (stored.path, sha256(data), stored.sha256, '--refresh'):
        assert str(word) in str(error.value)
    assert get_weights('tiny', refresh=True) == stored
    assert get_weights('tiny') == stored


@pytest.mark.parametrize('how', ['variable', 'refused', 'silent', 'no name'])
def test_offline_says_what_to_do_at_once(how, on_the_hub, server, monkeypatch):
    with socket.create_server(('127.0.0.1', 0)) as silent:
        port = silent.getsockname()[1]
        if how == 'variable':
            monkeypatch.setenv('HF_HUB_OFFLINE', '1')
        elif how == 'refused':
            silent.close()
            monkeypatch.setenv('HF_ENDPOINT', f'http://127.0.0.1:{port}')
        elif how == 'silent':
            monkeypatch.setenv('HF_ENDPOINT', f'http://127.0.0.1:{port}')
        else:
            monkeypatch.setenv('HF_ENDPOINT', 'http://nowhere.invalid')
        start = time.perf_counter()
        with pytest.raises(FetchError) as error:
            gtpt_mm.load_model('tiny')
        assert time.perf_counter() - start < 4
    words = str(error.value)
    assert 'hf://me/tiny' in words and 'GTPT_MM_WEIGHTS' in words
    assert 'gtpt-mm download tiny --out FOLDER' in words
    assert ('HF_HUB_OFFLINE' in words) == (how == 'variable')


def test_look_up_of_a_name_that_hangs(on_the_hub, monkeypatch):
    """Without a server for names it may take half a minute."""

    def look_up(*args, **options):
        time.sleep(20)

    monkeypatch.setattr(socket, 'getaddrinfo', look_up)
    start = time.perf_counter()
    with pytest.raises(FetchError, match='timed out'):
        get_weights('tiny')
    assert time.perf_counter() - start < 4


def test_offline_with_a_full_cache_loads(on_the_hub, monkeypatch):
    get_weights('tiny')
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    model = gtpt_mm.load_model('tiny', device='cpu')
    heatmaps_agree(model, on_the_hub['plain'])


def test_repository_that_is_not_there(server, registry):
    registry('gone', CONFIG, source='hf://me/gone', layout='huggingface')
    with pytest.raises(FetchError, match='404'):
        get_weights('gone')


@pytest.fixture
def zoo_file(tiny, tmp_path):
    """The same weights with mmpose's names, as its zoo has them."""
    native = convert_vitpose(tiny[0][0].state_dict()).state_dict
    path = tmp_path / 'zoo.pth'
    save_state_dict(path, export_vitpose(native, 'mmpose').state_dict, {})
    return path.read_bytes()


def test_weights_of_a_url_are_converted(server, registry, zoo_file, tiny):
    server.files['zoo.pth'] = zoo_file
    url = f'{server.url}/files/zoo.pth'
    registry(
        'zoo', CONFIG, source=url, layout='mmpose',
        sha256=sha256(zoo_file)[:8],
    )  # fmt: skip
    model = gtpt_mm.load_model('zoo', device='cpu')
    heatmaps_agree(model, tiny[0][0])
    assert model.weights_source == url
    assert get_weights('zoo').converter == 'mmpose'
    left = {path.name for path in cache_folder().iterdir()}
    assert left == {'zoo.json', 'zoo.lock', get_weights('zoo').file}


def test_encoders_start_a_training_by_name(
    server, monkeypatch, read_vitpose_golden, tmp_path
):
    path = tmp_path / 'mae.pth'
    encoder = read_vitpose_golden('mae_load_p16_s11.pt')['mae_model']
    torch.save(dict(model=encoder), path)
    server.files['mae.pth'] = path.read_bytes()
    source = f'{server.url}/files/mae.pth'
    entry = PublicWeights('', source, 'timm', 'CC-BY-NC-4.0')
    monkeypatch.setitem(PUBLIC, 'mae-vit-b', entry)

    def start(checkpoint: str) -> dict:
        init_cfg = dict(type='MAEPretrained', checkpoint=checkpoint)
        backbone = ViTPose(
            dict(embed_dims=48, depth=3, num_heads=4),
            (64, 48),
            init_cfg=init_cfg,
        )
        backbone.init_weights()
        return backbone.state_dict()

    expected = start(str(path))
    for _ in range(2):
        found = start('mae-vit-b')
        assert all(torch.equal(found[k], v) for k, v in expected.items())
    asked = [route for method, route in server.asked if method == 'GET']
    assert asked.count('/files/mae.pth') == 1
    with pytest.raises(ValueError, match='mae-vit-x'):
        start('mae-vit-x')
    # A file of that name is still a file.
    monkeypatch.chdir(tmp_path)
    shutil.copy(path, 'mae-vit-b')
    monkeypatch.delitem(PUBLIC, 'mae-vit-b')
    assert torch.equal(start('mae-vit-b')['pos_embed'], expected['pos_embed'])


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(sha256='0123abcd'), 'expected 0123abcd'),
        (dict(layout='timm'), "'mmpose', not 'timm' as"),
    ],
)
def test_other_weights_than_the_registry_says(
    change, words, server, registry, zoo_file
):
    server.files['zoo.pth'] = zoo_file
    url = f'{server.url}/files/zoo.pth'
    registry('zoo', CONFIG, **{'source': url, 'layout': 'mmpose', **change})
    with pytest.raises(ValueError, match=words):
        get_weights('zoo')
    assert not list(cache_folder().glob('*.safetensors'))


def test_url_that_is_not_there(server, registry):
    url = f'{server.url}/files/none.pth'
    registry('zoo', CONFIG, source=url, layout='mmpose')
    with pytest.raises(FetchError, match='404'):
        get_weights('zoo')


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
def test_folder_comes_first(
    suffix, on_the_hub, server, tmp_path, monkeypatch, tiny
):
    """Of any format; checked, where a hash lies beside it."""
    folder = tmp_path / 'weights'
    file = folder / f'tiny{suffix}'
    write_state_dict(file, tiny[0][0].state_dict(), None)
    monkeypatch.setenv('GTPT_MM_WEIGHTS', str(folder))
    model = gtpt_mm.load_model('tiny', device='cpu')
    heatmaps_agree(model, on_the_hub['plain'])
    assert model.weights_source == str(file)
    assert not server.asked
    beside = folder / f'{file.name}.sha256'
    beside.write_text(f'{sha256(file.read_bytes())}  {file.name}\n')
    assert get_weights('tiny').source == str(file)
    beside.write_text(f'{"0" * 64}  {file.name}\n')
    with pytest.raises(ValueError, match='tiny.*is damaged or another'):
        get_weights('tiny')


def test_folder_without_the_model_is_passed_over(
    on_the_hub, tmp_path, monkeypatch
):
    monkeypatch.setenv('GTPT_MM_WEIGHTS', str(tmp_path))
    assert get_weights('tiny').source == 'hf://me/tiny'
    monkeypatch.setenv('GTPT_MM_WEIGHTS', str(tmp_path / 'none'))
    with pytest.raises(ValueError, match='none is not a folder'):
        get_weights('tiny')


def test_mirror_comes_first(on_the_hub, server, monkeypatch, tiny):
    other = convert_vitpose(tiny[0][0].state_dict()).state_dict
    data = save(other)
    server.files['tiny.safetensors'] = data
    server.files['tiny.safetensors.sha256'] = f'{sha256(data)}  x'.encode()
    monkeypatch.setenv('GTPT_MM_WEIGHTS', f'{server.url}/files/')
    stored = get_weights('tiny')
    assert stored.source == f'{server.url}/files/tiny.safetensors'
    assert (stored.converter, stored.licence) == ('native', '')
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')  # a mirror may be near
    assert get_weights('tiny', refresh=True) == stored
    monkeypatch.delenv('HF_HUB_OFFLINE')
    server.asked.clear()
    assert get_weights('tiny') == stored and not server.asked
    del server.files['tiny.safetensors']
    assert get_weights('tiny', refresh=True).source == 'hf://me/tiny'
    server.files['tiny.safetensors'] = data
    server.files['tiny.safetensors.sha256'] = b'0123  x'
    with pytest.raises(ValueError, match='expected 0123'):
        get_weights('tiny', refresh=True)


def test_mirror_that_is_down_leaves_the_cache(on_the_hub, monkeypatch):
    stored = get_weights('tiny')
    monkeypatch.setenv('GTPT_MM_WEIGHTS', 'http://127.0.0.1:9/weights')
    assert get_weights('tiny') == stored


def test_weights_on_a_drive_name_file_page_and_command(cache):
    for name, page in (
        ('gtpt-s', 'github.com/haonanwang0522/GTPT'),
        ('group-pose-swin-l-crowdpose', 'github.com/Michel-liu/GroupPose'),
    ):
        with pytest.raises(ValueError) as error:
            gtpt_mm.load_model(name)
        words = str(error.value)
        assert page in words
        assert f'gtpt-mm convert FILE {name}.safetensors' in words
    with pytest.raises(ValueError, match='no public weights: train it'):
        gtpt_mm.load_model('hevitpose-t')


def test_cache_that_cannot_be_written(on_the_hub, tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('GTPT_MM_CACHE', str(tmp_path / 'file'))
    with pytest.raises(ValueError, match='set GTPT_MM_CACHE to another'):
        get_weights('tiny')


def test_processes_at_once_fetch_once(server, registry, zoo_file):
    server.files['zoo.pth'] = zoo_file
    url = f'{server.url}/files/zoo.pth'
    registry('zoo', CONFIG, source=url, layout='mmpose')
    with multiprocessing.get_context('fork').Pool(3) as pool:
        found = pool.map(get_weights, ['zoo'] * 3, chunksize=1)
    assert len(set(found)) == 1
    assert found[0].sha256 == sha256(found[0].path.read_bytes())
    assert server.asked.count(('GET', '/files/zoo.pth')) == 1


def test_without_transformers(tmp_path, monkeypatch):
    """Pitfall: transformers imports modules of huggingface_hub for others."""
    monkeypatch.delenv('HF_ENDPOINT', raising=False)
    lines = (
        'import sys',
        "sys.modules['transformers'] = None",
        'from gtpt_mm.apis.weights.fetch import find_endpoint',
        'print(find_endpoint())',
    )
    out = run_python('-c', '\n'.join(lines), cwd=tmp_path)
    assert 'https://huggingface.co' in out.split()
