"""The second of two runs starts from the average of the first."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from support.whole_body import (
    BODY,
    CODEC,
    NEW,
    assert_same,
    find_hook,
    make_model,
    make_runner,
)

from gtpt_mm.convert import convert_gtpt, export_gtpt, gtpt_names
from gtpt_mm.engine import CosineEMAHook
from gtpt_mm.engine.body_weights import find_checkpoint, load_body_weights


def init_from(path) -> dict:
    return dict(type='InitFromHook', init_from=str(path))


@pytest.fixture(scope='module')
def body_run(tmp_path_factory):
    """The work folder of a body run; ``state_dict`` is the average."""
    work_dir = tmp_path_factory.mktemp('body')
    make_runner(work_dir, epochs=1, model=make_model(BODY)).train()
    (work_dir / 'epoch_1.pth').rename(work_dir / 'best_coco_AP_epoch_1.pth')
    return work_dir


def read_log(work_dir) -> str:
    return ''.join(path.read_text() for path in work_dir.glob('*/*.log'))


def test_second_run_starts_from_the_average(body_run, tmp_path):
    """Model and average; a resumed run does not load it again."""
    saved = torch.load(
        body_run / 'best_coco_AP_epoch_1.pth', weights_only=True
    )
    runner = make_runner(tmp_path, init_from(body_run), epochs=2)
    ema = find_hook(runner, CosineEMAHook)
    seen = []
    train_step = runner.model.train_step

    def spy(data, optim_wrapper):
        if not seen:
            for module in (runner.model, ema.ema_model.module):
                seen.append(
                    {k: v.clone() for k, v in module.state_dict().items()}
                )
        return train_step(data, optim_wrapper)

    runner.model.train_step = spy
    runner.train()
    assert_same(*seen)
    assert set(seen[0]) - set(saved['state_dict']) == set(NEW)
    for name, value in saved['state_dict'].items():
        assert torch.equal(seen[0][name], value), name
    key = 'backbone.layers.0.attn.qkv.weight'
    assert not torch.equal(
        saved['state_dict'][key], saved['ema_state_dict'][f'module.{key}']
    )
    log = read_log(tmp_path)
    assert f'2 new ({", ".join(NEW)}); 0 left out' in log
    assert f'{len(saved["state_dict"])} tensors loaded' in log
    assert 'differs' not in log

    checkpoint = tmp_path / 'epoch_1.pth'
    half = torch.load(checkpoint, weights_only=True)
    assert 'curriculum' not in half
    resumed = make_runner(
        tmp_path / 'again',
        init_from('no such file any more'),
        epochs=2,
        load_from=str(checkpoint),
        resume=True,
    )
    resumed.train()
    ours, theirs = (
        torch.load(folder / 'epoch_2.pth', weights_only=True)
        for folder in (tmp_path / 'again', tmp_path)
    )
    for key in ('state_dict', 'ema_state_dict', 'optimizer'):
        assert_same(ours[key], theirs[key], key)


def test_load_from_and_init_from_exclude_each_other(body_run, tmp_path):
    best = str(body_run / 'best_coco_AP_epoch_1.pth')
    runner = make_runner(tmp_path, init_from(best), load_from=best)
    with pytest.raises(ValueError, match='load_from'):
        runner.train()


def test_folder_needs_one_best_checkpoint(tmp_path):
    with pytest.raises(ValueError, match='missing.*custom_hooks.N.init_from'):
        find_checkpoint(tmp_path / 'missing')
    (tmp_path / 'epoch_300.pth').touch()
    with pytest.raises(ValueError, match=r'best_\*.pth.*\[\]'):
        find_checkpoint(tmp_path)
    best = tmp_path / 'best_coco_AP_epoch_290.pth'
    best.touch()
    assert find_checkpoint(str(tmp_path)) == best
    (tmp_path / 'best_PCK_epoch_1.pth').touch()
    with pytest.raises(ValueError, match='best_PCK.*best_coco_AP'):
        find_checkpoint(tmp_path)


def test_other_sizes_and_other_models_are_refused(body_run, tmp_path):
    init_default_scope('mmpose')
    best = body_run / 'best_coco_AP_epoch_1.pth'
    wider = MODELS.build(
        make_model(arch=dict(embed_dims=16, stem_channels=32))
    )
    before = {k: v.clone() for k, v in wider.state_dict().items()}
    with pytest.raises(ValueError, match=r'stem.*\(8,.*there.*\(16,.*here'):
        load_body_weights(wider, best)
    assert_same(dict(wider.state_dict()), before)
    torch.save({'surprise': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='surprise'):
        load_body_weights(wider, tmp_path / 'other.pth')


def test_what_differs_from_a_body_model_is_warned_of(body_run, tmp_path):
    content = torch.load(
        body_run / 'best_coco_AP_epoch_1.pth', weights_only=True
    )['state_dict']
    del content['head.fc_x.bias']
    torch.save(content | dict(extra=torch.zeros(1)), tmp_path / 'odd.pth')
    hook = init_from(tmp_path / 'odd.pth')
    make_runner(tmp_path, hook, epochs=1).train()
    log = read_log(tmp_path)
    assert '3 new (' in log
    assert '1 left out (extra)' in log
    assert 'this one also in extra, head.fc_x.bias' in log


def test_authors_checkpoint_loads_as_the_authors_load_it(
    gtpt_goldens, tmp_path
):
    """Which tensor of the body file each tensor of stage 2 equals."""
    init_default_scope('mmpose')
    golden = gtpt_goldens.json('stage2_load')
    official = {
        key: torch.from_numpy(value)
        for key, value in gtpt_goldens.npz('weights_t_human_d32_seed0').items()
        if key != 'meta'
    }
    torch.save(official, tmp_path / 'model_best.pth')
    arch = dict(embed_dims=32, stem_channels=128)
    cfg = make_model(arch=arch)
    cfg['backbone'].update(
        img_size=(256, 192),
        patch_size=(4, 3),
        keypoint_groups=[
            dict(sparse=range(0, 5), parts=[range(23, 91)]),
            dict(sparse=range(5, 11), parts=[range(91, 112), range(112, 133)]),
            dict(sparse=range(11, 17), parts=[range(17, 20), range(20, 23)]),
        ],
    )
    cfg['head'].update(
        in_channels=32,
        out_channels=133,
        decoder=CODEC | dict(input_size=(192, 256)),
    )
    model = MODELS.build(cfg)
    found = load_body_weights(model, tmp_path / 'model_best.pth')
    assert found.new == NEW
    assert not found.left_out

    state, checked, table = model.state_dict(), set(), gtpt_names()
    for target, source in golden['source'].items():
        name = table.native(target.removeprefix('ema_'))
        if name is None:  # position table and masks: not in our checkpoints
            continue
        checked.add(name)
        if source == 'fresh':
            assert name in found.new
        else:
            assert torch.equal(state[name], official[source]), name
    assert checked == set(state)

    # Our own layout of the same file, and back.
    ours = convert_gtpt(official)
    torch.save(dict(state_dict=ours), tmp_path / 'ours.pth')
    torch.save(
        {f'module.{k}': v for k, v in export_gtpt(ours).items()},
        tmp_path / 'wrapped.pth',
    )
    for name in ('ours.pth', 'wrapped.pth'):
        again = MODELS.build(cfg)
        assert load_body_weights(again, tmp_path / name) == found
        for key in ours:
            assert torch.equal(again.state_dict()[key], state[key]), key


def test_incomplete_authors_checkpoint_is_named(gtpt_goldens, tmp_path):
    official = gtpt_goldens.npz('weights_t_human_d32_seed0')
    half = {
        key: torch.from_numpy(value)
        for key, value in official.items()
        if key != 'meta' and not key.startswith('ema_')
    }
    torch.save(half, tmp_path / 'trained_half.pth')
    init_default_scope('mmpose')
    with pytest.raises(ValueError, match="trained_half.*'ema'"):
        load_body_weights(
            MODELS.build(make_model()), tmp_path / 'trained_half.pth'
        )
