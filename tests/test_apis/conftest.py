"""A hub on the loopback with weights, and models whose weights are there."""

import huggingface_hub.constants
import pytest
from safetensors.torch import save
from support import hub as loopback
from support.tiny_vitpose import CONFIG, PLUS_CONFIG, make_huggingface

from gtpt_mm import model_table
from gtpt_mm.apis.weights import PUBLIC, PublicWeights, fetch
from gtpt_mm.config_folder import find_configs


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Empty caches of this package and of the Hub's client."""
    monkeypatch.setenv('GTPT_MM_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('GTPT_MM_WEIGHTS', raising=False)
    monkeypatch.delenv('HF_HUB_OFFLINE', raising=False)
    monkeypatch.setattr(
        huggingface_hub.constants, 'HF_HUB_CACHE', str(tmp_path / 'hub')
    )
    monkeypatch.setattr(fetch, 'TIMEOUT', 1.0)
    return tmp_path / 'cache'


@pytest.fixture
def server(cache, monkeypatch):
    """An empty hub, which is that of the client."""
    with loopback.serve() as server:
        monkeypatch.setenv('HF_ENDPOINT', server.url)
        yield server


@pytest.fixture(scope='session')
def tiny():
    """Two models of transformers, with their files."""
    pytest.importorskip('transformers')
    models = make_huggingface(), make_huggingface(plus=True)
    return [(m, save(m.state_dict(), dict(format='pt'))) for m in models]


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Add models to the registry and to the table of names."""

    def add(name: str, text: str, **entry) -> None:
        config = tmp_path / f'{name}_1xb1_coco-96x64.py'
        config.write_text(text.format(configs=find_configs()))
        weights = PublicWeights(model=name, licence='MIT', **entry)
        row = (str(config), 'coco', '96x64', weights.source)
        monkeypatch.setitem(model_table.MODELS, name, row)
        monkeypatch.setitem(PUBLIC, name, weights)

    return add


@pytest.fixture
def on_the_hub(server, tiny, registry):
    """``tiny`` and ``tiny-plus``, on the Hub; their models in transformers."""
    (plain, file), (plus, plus_file) = tiny
    server.models['me/tiny'] = {'model.safetensors': file, 'README.md': b'x'}
    server.models['me/tiny-plus'] = {'model.safetensors': plus_file}
    registry('tiny', CONFIG, source='hf://me/tiny', layout='huggingface')
    registry(
        'tiny-plus',
        PLUS_CONFIG,
        source='hf://me/tiny-plus',
        layout='huggingface',
        datasets=('coco',),
    )
    return dict(plain=plain, plus=plus)
