"""Names of models: the table, and the models they give."""

import importlib.util
from pathlib import Path

import pytest
import torch

import gtpt_mm
from gtpt_mm import model_table
from gtpt_mm.apis import model_names
from gtpt_mm.apis.weights import DRIVES, PUBLIC
from gtpt_mm.config_folder import find_configs
from gtpt_mm.config_names import find_model

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = 'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64'


def test_table_and_page_are_current():
    """``python tools/model_names.py`` writes them."""
    path = ROOT / 'tools/model_names.py'
    spec = importlib.util.spec_from_file_location('model_names_tool', path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    tables = tool.collect()
    assert tool.TABLE.read_text() == tool.format_table(*tables)
    assert tool.PAGE.read_text() == tool.format_page(*tables)
    assert tables[0]['gtpt-t'] != tables[0]['gtpt-t-384']
    with pytest.raises(ValueError, match='two configs are called .*gtpt-t'):
        tool.find_short_names(
            [
                'gtpt-t_4xb64-300e_coco-256x192',
                'gtpt-t_8xb32-210e_coco-256x192',
            ]
        )


def test_every_config_has_one_name():
    files = {
        path.relative_to(find_configs()).as_posix()
        for path in find_configs().rglob('*.py')
        if '_base_' not in path.parts
    }
    named = {row[0] for row in model_table.MODELS.values()} - {''}
    assert named == files
    own = [m for m in map(find_model, (Path(f).stem for f in files))]
    assert len({m.name for m in own}) == len(files)
    assert not set(model_table.ALIASES) & set(model_table.MODELS)
    assert {m.model for m in PUBLIC.values()} - {''} <= set(
        gtpt_mm.list_models()
    )
    assert set(DRIVES) <= set(gtpt_mm.list_models())


@pytest.mark.parametrize(
    ('name', 'config'),
    [
        ('gtpt-t', 'gtpt-t_4xb64-300e_coco-256x192'),
        ('gtpt-s-384', 'gtpt-s_4xb64-300e_coco-384x288'),
        ('GTPT-B-Wholebody', 'gtpt-b_4xb64-300e_coco-wholebody-256x192'),
        ('hevitpose-t', 'td-hm_hevitpose-t_2xb32-210e_coco-256x256'),
        ('hevitpose-t-mpii', 'td-hm_hevitpose-t_1xb32-210e_mpii-256x256'),
        ('hevitpose-t_mpii', 'td-hm_hevitpose-t_1xb32-210e_mpii-256x256'),
        ('vitpose-b', 'td-hm_vitpose-b_8xb64-210e_coco-256x192'),
        ('gtpt_mm/vitpose-b', 'td-hm_vitpose-b_8xb64-210e_coco-256x192'),
        ('vitpose-b-mmpose', 'td-hm_vitpose-b_8xb64-210e_coco-256x192'),
        ('vitpose-b-384x288', 'td-hm_vitpose-b_8xb64-210e_coco-384x288'),
        ('vitpose-b-576x432', 'td-hm_vitpose-b_8xb64-210e_coco-576x432'),
        ('vitpose-b-ap10k', 'td-hm_vitpose-b_8xb64-210e_ap10k-256x192'),
        (
            'vitpose-plus-b',
            'td-hm_vitpose-plus-b_8xb128-210e_six-datasets-256x192',
        ),
        ('ae-vitpose-b', 'ae_vitpose-b_8xb24-300e_coco-512x512'),
        ('group-pose-r50', 'group-pose_res50_8xb2-60e_coco-800x1333'),
        ('group-pose-res50', 'group-pose_res50_8xb2-60e_coco-800x1333'),
        (f'{SAMPLE}.py', SAMPLE),
        ('td-hm_vitpose-b_8xb64-210e_coco-256x192', None),
    ],
)
def test_name_gives_its_config(name, config):
    assert Path(gtpt_mm.get_config(name).filename).stem == (config or name)


def test_short_names_follow_the_pattern():
    assert gtpt_mm.list_models('vitpose-?') == [
        'vitpose-b', 'vitpose-h', 'vitpose-l', 'vitpose-s',
    ]  # fmt: skip
    assert not [name for name in gtpt_mm.list_models() if '_' in name]
    assert gtpt_mm.list_models('none*') == []


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (lambda: gtpt_mm.get_config('vitpos-b'), 'near to it: vitpose-b'),
        (lambda: gtpt_mm.load_model('mae-vit-b'), 'encoder to start'),
        (
            lambda: gtpt_mm.load_model('gtpt-t', 'random', dataset='aic'),
            "dataset='aic' is for a model of several",
        ),
        (
            lambda: gtpt_mm.load_model(SAMPLE, 'random', dataset='crowd'),
            "'crowd' among",
        ),
        (
            lambda: gtpt_mm.load_model('gtpt-t', 'gtpt-t.pht'),
            "weights='gtpt-t.pht' is neither a file",
        ),
        (lambda: gtpt_mm.load_model(SAMPLE), 'no public weights'),
    ],
)
def test_errors_name_the_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_random_weights_are_asked_for_and_told(monkeypatch):
    told = []
    monkeypatch.setattr(model_names, 'warn', told.append)
    model = gtpt_mm.load_model('gtpt-t', weights='random', device='cpu')
    assert model.weights_source == 'random'
    assert 'random weights' in told[0]
    assert model.cfg.model.backbone.arch == 'tiny'
    assert model.dataset_meta['dataset_name'] == 'coco'
    assert not model.training


@pytest.fixture
def plus_file(tmp_path):
    """Weights of a small ViTPose++ with all heads, as of a training."""
    from mmpose.registry import MODELS

    cfg = gtpt_mm.get_config(SAMPLE)
    model = MODELS.build(cfg.model)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.05)
    path = tmp_path / 'plus.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path, model.eval()


def test_dataset_of_a_plus_is_split_off(plus_file):
    path, whole = plus_file
    img = torch.randn(2, 3, 96, 64)
    for name in ('coco', 'aic', 'wholebody'):
        model = gtpt_mm.load_model(SAMPLE, path, 'cpu', dataset=name)
        whole.test_cfg['dataset'] = name
        with torch.no_grad():
            expected = whole(img, None, mode='tensor')
            own = model(img, None, mode='tensor')
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-5)
        assert model.dataset_meta['num_keypoints'] == expected.shape[1]
        assert model.cfg.split_dataset == name
    default = gtpt_mm.load_model(SAMPLE, path, 'cpu')
    assert default.cfg.split_dataset == 'coco'


def test_config_that_was_changed_by_hand():
    cfg = gtpt_mm.get_config('gtpt-t')
    cfg.model.test_cfg.flip_test = False
    model = gtpt_mm.load_model(cfg, weights='random', device='cpu')
    assert not model.test_cfg['flip_test']
    assert cfg.model.get('train_cfg', 0) == 0  # the caller's stays as it was


def test_weights_of_another_model_are_an_error(plus_file):
    with pytest.raises(ValueError, match=r'plus.pth.* not hold the weights'):
        gtpt_mm.load_model('gtpt-t', plus_file[0], 'cpu')
