"""How much of a checkpoint is loaded, through every door."""

import pytest
import torch
from mmengine.model import BaseModule, MMDistributedDataParallel
from mmengine.model.weight_init import PretrainedInit
from mmengine.runner import load_checkpoint, load_state_dict
from support.line import Line, make_line_runner
from torch import nn

from gtpt_mm.compat.files.checkpoint_files import BrokenCheckpointError
from gtpt_mm.compat.files.loaded_tensors import check_finite


class Net(BaseModule):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        self.head = nn.Linear(3, 1)


def write(path, state_dict):
    torch.save(dict(meta={}, state_dict=state_dict), path)
    return str(path)


def test_all_tensors_in_one_line(tmp_path, log):
    model = Net()
    file = write(tmp_path / 'a.pth', Net().state_dict())
    load_checkpoint(model, file)
    [record] = [r for r in log.records if 'tensors loaded' in r.message]
    # Counted: two of each linear layer, four of the norm, not its counter.
    assert record.message == f'Net: 8 of 8 tensors loaded from {file}.'
    assert record.levelname == 'INFO'
    torch.testing.assert_close(
        model.state_dict(), torch.load(file)['state_dict']
    )


def test_part_of_the_tensors_is_a_short_warning(tmp_path, log):
    source = Net().state_dict()
    kept = {k: v for k, v in source.items() if k.startswith('stem.0')}
    kept['head.weight'] = torch.zeros(7, 3)
    kept |= {f'old.{i}': torch.zeros(1) for i in range(99)}
    model = Net()
    load_checkpoint(model, write(tmp_path / 'a.pth', kept))
    [record] = [r for r in log.records if 'tensors loaded' in r.message]
    assert record.levelname == 'WARNING'
    words = record.message
    assert 'Net: 2 of 8 tensors loaded from' in words
    assert 'Not in the file: stem.1.weight' in words
    assert 'old.4 and 94 more.' in words and 'old.5' not in words
    assert 'head.weight (7, 3), the model has (1, 3).' in words
    assert len(words) < 700
    torch.testing.assert_close(model.stem[0].weight, source['stem.0.weight'])


WRONG = {
    'names': (
        lambda state: {f'foo.{k}': v for k, v in state.items()},
        '0 of 8 tensors loaded',
    ),
    'shapes': (
        lambda state: {k: v.new_zeros(9, 9) for k, v in state.items()},
        '0 of 8 tensors loaded',
    ),
    'nothing': (lambda state: {}, 'no weights'),
}


@pytest.mark.parametrize('change, words', WRONG.values(), ids=WRONG)
def test_no_tensor_is_an_error(tmp_path, change, words):
    """Not even the counter of BatchNorm, which torch makes up."""
    path = tmp_path / 'a.pth'
    write(path, change(Net().state_dict()))
    with pytest.raises(BrokenCheckpointError, match=words):
        load_checkpoint(Net(), str(path))
    with pytest.raises(BrokenCheckpointError, match=words) as caught:
        PretrainedInit(str(path))(Net())
    assert str(path) in str(caught.value)


@pytest.mark.parametrize('change, words', WRONG.values(), ids=WRONG)
def test_no_tensor_of_load_from_is_an_error(tmp_path, change, words):
    path = tmp_path / 'a.pth'
    write(path, change(Line().state_dict()))
    runner = make_line_runner(tmp_path / 'run', 1, load_from=str(path))
    words = words.replace('8', '2')
    with pytest.raises(BrokenCheckpointError, match=words) as caught:
        runner.train()
    assert str(path) in str(caught.value)


def test_entries_of_another_project(tmp_path):
    torch.save({'model': Line().state_dict()}, tmp_path / 'a.pth')
    with pytest.raises(BrokenCheckpointError, match=r'a\.pth.*gtpt-mm conv'):
        load_checkpoint(Line(), str(tmp_path / 'a.pth'))


def test_prefix_of_pretrained_weights(tmp_path, log):
    source = Line()
    named = {f'backbone.{k}': v for k, v in source.state_dict().items()}
    path = write(tmp_path / 'a.pth', named)
    model = Line()
    PretrainedInit(path, prefix='backbone.')(model)
    torch.testing.assert_close(model.fc.weight, source.fc.weight)
    assert f'2 of 2 tensors loaded from {path}' in log.text
    with pytest.raises(BrokenCheckpointError, match="set prefix='backbone"):
        PretrainedInit(path)(model)
    with pytest.raises(BrokenCheckpointError, match=r"'neck'.*backbone"):
        PretrainedInit(path, prefix='neck')(model)


def test_weights_alone_start_a_training_with_an_average(tmp_path):
    """The EMA hook of mmengine asks for an entry state_dict."""
    source = Line()
    torch.save(source.state_dict(), tmp_path / 'bare.pth')
    runner = make_line_runner(
        tmp_path / 'run', 1, load_from=str(tmp_path / 'bare.pth')
    )
    runner.call_hook('before_run')
    runner.load_or_resume()
    torch.testing.assert_close(runner.model.fc.weight, source.fc.weight)
    torch.testing.assert_close(_average(runner).fc.weight, source.fc.weight)


def _average(runner):
    [hook] = [h for h in runner.hooks if type(h).__name__ == 'EMAHook']
    return hook.ema_model.module


def test_strict_names_the_tensors():
    state = Line().state_dict() | {'more': torch.zeros(1)}
    with pytest.raises(RuntimeError, match='Not in the model: more'):
        load_state_dict(Line(), state, strict=True)


def test_own_state_dict_is_loaded_in_silence(log):
    load_state_dict(Net(), Net().state_dict())
    assert 'tensors loaded' not in log.text


def test_names_of_a_distributed_training():
    source, model = Line(), Line()
    state = {f'module.{k}': v for k, v in source.state_dict().items()}
    load_state_dict(model, state)
    torch.testing.assert_close(model.fc.weight, source.fc.weight)


def test_inside_of_a_wrapper(monkeypatch):
    """As mmengine: names without the wrapper's, wherever it is."""
    wrapped = nn.Sequential(Line())
    inner = wrapped[0]
    monkeypatch.setattr(
        MMDistributedDataParallel, '__init__', nn.Module.__init__
    )
    wrapper = MMDistributedDataParallel()
    wrapper.module = inner
    wrapped[0] = wrapper
    source = Line()
    load_state_dict(
        wrapped, {f'0.{k}': v for k, v in source.state_dict().items()}
    )
    torch.testing.assert_close(inner.fc.weight, source.fc.weight)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_not_finite(tmp_path, value):
    state = Net().state_dict()
    state['head.weight'][0, 1] = value
    path = write(tmp_path / 'a.pth', state)
    with pytest.raises(BrokenCheckpointError, match=r'a\.pth.*head\.weight'):
        load_checkpoint(Net(), path)


def test_finite_numbers_that_overflow_in_the_sum_and_masks():
    large = torch.full((4,), 3e38)
    mask = torch.full((2, 2), -torch.inf).triu(1)
    half = torch.full((99,), 6e4, dtype=torch.half)
    state = dict(large=large, half=half, ids=torch.arange(3))
    check_finite({**state, 'a.attn_mask': mask}, 'the weights')
    with pytest.raises(BrokenCheckpointError, match='in 1 of 1 .*: a.scale'):
        check_finite({'a.scale': mask}, 'the weights')
