import pytest

from gtpt_mm.benchmark import find_config, parse_models

RES50 = 'td-hm_res50_8xb64-210e_coco-256x192'
GTPT = 'gtpt-t_4xb64-300e_coco-256x192'


@pytest.mark.parametrize('name', [RES50, GTPT, f'{GTPT}.py'])
def test_finds_configs_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = find_config(name)
    assert path.is_file()
    assert path.stem == name.removesuffix('.py')


def test_finds_aliases_of_the_zoo():
    assert find_config('rtmpose-l').stem.startswith('rtmpose-l_')


def test_a_file_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f'{RES50}.py').write_text('model = dict()')
    assert find_config(f'{RES50}.py').resolve().parent == tmp_path


def test_unknown_name_gets_close_matches():
    with pytest.raises(ValueError, match=f'td-hm_res50_8xb64.*: .*{RES50}'):
        find_config('td-hm_res50_8xb64-200e_coco-256x192')


def test_overrides_belong_to_the_model_before_them():
    first, second, third = parse_models(
        [
            RES50,
            GTPT,
            GTPT,
            'model.backbone.keep_rates=[1,0.5,0.5,0.5]',
            'model.backbone.with_unpruned=False',
        ]
    )
    assert first.options == second.options == {}
    assert first.label == RES50
    assert third.options == {
        'model.backbone.keep_rates': [1, 0.5, 0.5, 0.5],
        'model.backbone.with_unpruned': False,
    }
    assert third.label.startswith(f'{GTPT} keep_rates=[1, 0.5')


def test_label_is_taken_as_it_is():
    [choice] = parse_models([GTPT, 'label=GTPT-T, 17 points: [a]'])
    assert choice.label == 'GTPT-T, 17 points: [a]'


def test_label():
    [choice] = parse_models([GTPT, 'label=pruned'])
    assert choice.label == 'pruned'
    assert choice.options == {}


@pytest.mark.parametrize(
    'words, message',
    [
        (['model.x=1', GTPT], 'changes no model'),
        ([GTPT, 'codec.input_size=(96,128)'], 'codec.input_size.*nothing'),
        ([GTPT, GTPT], 'two models are called.*label='),
        ([GTPT, RES50, f'label={GTPT}'], 'two models are called'),
        (['no-such-model-anywhere'], 'no-such-model-anywhere'),
    ],
)
def test_bad_words(words, message):
    with pytest.raises(ValueError, match=message):
        parse_models(words)
