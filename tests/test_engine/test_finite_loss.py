"""No step and no file after a loss of NaN; batches without keypoints."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from support.toy import Line, make_runner, make_sample

from gtpt_mm.engine import FiniteLossHook
from gtpt_mm.engine.hooks.sample_names import describe_samples, has_keypoint

NAN, INF = float('nan'), float('inf')


def read_log(work_dir) -> str:
    text = max(Path(work_dir).glob('*/*.log')).read_text()
    return re.sub(r'\s+', ' ', text)


def make_samples(*values) -> list[dict]:
    return [make_sample(i, x) for i, x in enumerate(values)]


def descend(weight: float, *batches) -> float:
    """SGD by hand: the gradient of mean((w x - 1)^2), rate 0.1."""
    for batch in batches:
        x = np.array(batch, float)
        weight -= 0.1 * np.mean(2 * x * (weight * x - 1))
    return weight


# ----------------------------------------------------------------------- stop


@pytest.mark.parametrize('value', [NAN, INF])
def test_stops_before_the_step_and_names_the_sample(tmp_path, value):
    runner = make_runner(tmp_path, make_samples(2, 3, 4, value, 1, 1))
    with pytest.raises(FloatingPointError) as error:
        runner.train()
    words = str(error.value)
    assert 'epoch 1, step 2: loss_square = ' in words
    assert 'loss_extra = nan' in words
    assert 'acc' not in words
    assert 'Not finite in its labels: pictures/3.png id 103.' in words
    assert 'Others of the batch: pictures/2.png id 102.' in words
    assert 'pictures/1.png' not in words
    assert "policy='skip'" in words
    weight = float(runner.model.weight)
    assert weight == pytest.approx(descend(1, [2, 3]), rel=1e-6)
    assert not list(tmp_path.glob('*.pth'))
    # Model and optimizer are as before.
    assert 'parse_losses' not in vars(runner.model)
    assert not {'step', 'backward'} & set(vars(runner.optim_wrapper))


def test_finite_training_is_not_touched(tmp_path):
    runner = make_runner(tmp_path, make_samples(2, 3, 4, 5), epochs=2)
    runner.train()
    expected = descend(1, *[[2, 3], [4, 5]] * 2)
    assert float(runner.model.weight) == pytest.approx(expected, rel=1e-5)
    assert (tmp_path / 'epoch_2.pth').is_file()
    assert 'not finite' not in read_log(tmp_path)
    assert 'parse_losses' not in vars(runner.model)


@pytest.mark.parametrize('before', [None, dict(type='ConstantLR', factor=1)])
def test_schedules_may_be_built_during_the_training(tmp_path, before):
    """A curriculum does; mmengine looks into the step of the optimizer."""

    class NewSchedule(Hook):
        def before_train_epoch(self, runner):
            runner.param_schedulers = runner.build_param_scheduler(
                dict(type='ConstantLR', factor=0.5, end=9)
            )

    runner = make_runner(
        tmp_path,
        make_samples(2, 3, 4, NAN),
        param_scheduler=before,
        custom_hooks=[NewSchedule()],
    )
    with pytest.raises(FloatingPointError, match='epoch 1, step 2'):
        runner.train()
    gradient = np.mean([2 * 2 * (2 - 1), 2 * 3 * (3 - 1)])
    weight = float(runner.model.weight)
    assert weight == pytest.approx(1 - 0.05 * gradient, rel=1e-6)
    # The step that schedulers have marked is there again.
    assert hasattr(runner.optim_wrapper.step, '_with_counter') == bool(before)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    """The last step of an epoch; no loss has seen the weights yet."""
    runner = make_runner(
        tmp_path,
        make_samples(2, 3),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e38)),
    )
    words = '1 of 1 tensors.*weight.*step 1: .*pictures/1.png id 101'
    with pytest.raises(FloatingPointError, match=words):
        runner.train()
    assert not runner.model.weight.isfinite()
    assert not list(tmp_path.glob('*.pth'))


def test_the_gradient_of_accumulated_batches_names_them_all(tmp_path):
    """The loss of the third batch shows what the step of two has done."""
    runner = make_runner(
        tmp_path,
        make_samples(2, 3, 4, 5, 6, 7),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=1e38), accumulative_counts=2
        ),
    )
    with pytest.raises(FloatingPointError, match='are to blame') as error:
        runner.train()
    words = str(error.value)
    assert 'in epoch 1, step 3' in words
    for number in range(4):
        step = 1 + number // 2
        place = words.index(f'Epoch 1, step {step}: ')
        assert words.index(f'pictures/{number}.png id 10{number}') > place


@pytest.mark.parametrize('policy', ['stop', 'skip'])
def test_weights_spoilt_in_the_step_before_are_told(tmp_path, policy):
    """A NaN gradient behind a finite loss; the samples are innocent."""

    class Spoil(Hook):
        def after_train_iter(self, runner, batch_idx, **kwargs):
            runner.model.weight.data.fill_(NAN)

    runner = make_runner(
        tmp_path,
        make_samples(2, 3, 4, 5),
        hook=dict(policy=policy),
        custom_hooks=[Spoil()],
    )
    with pytest.raises(FloatingPointError, match='step before') as error:
        runner.train()
    assert 'step 2' in str(error.value) and 'weight' in str(error.value)
    before = str(error.value).partition('are to blame. ')[2]
    assert before.startswith(
        'Epoch 1, step 1: Samples of the batch: pictures/0.png id 100; '
        'pictures/1.png id 101.'
    )


def test_masks_of_infinity_are_saved(tmp_path):
    model = Line()
    model.register_buffer('mask', torch.tensor([0.0, -INF]))
    make_runner(tmp_path, make_samples(2, 3), model=model).train()
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    assert saved['state_dict']['mask'][1] == -INF


# ----------------------------------------------------------------------- skip


def test_skip_leaves_out_the_step_alone(tmp_path):
    hook = dict(policy='skip', max_skips=2)
    samples = make_samples(2, 3, NAN, 1, 4, 5)
    runner = make_runner(tmp_path, samples, hook=hook, epochs=2)
    runner.train()
    expected = descend(1, *[[2, 3], [4, 5]] * 2)
    assert float(runner.model.weight) == pytest.approx(expected, rel=1e-5)
    log = read_log(tmp_path)
    assert 'epoch 1, step 2: loss_square = nan' in log
    assert 'pictures/2.png id 102' in log
    assert 'The step is left out (2 of at most 2).' in log
    # The losses of other steps are logged as they are.
    assert 'loss: nan' not in log
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    assert saved['finite_loss'] == dict(num_skips=1)

    resumed = make_runner(
        tmp_path / 'again',
        samples,
        hook=dict(policy='skip', max_skips=1),
        epochs=2,
        resume=True,
        load_from=str(tmp_path / 'epoch_1.pth'),
    )
    with pytest.raises(FloatingPointError, match='1 steps were left out bef'):
        resumed.train()


def test_skip_drops_what_was_accumulated_for_the_step(tmp_path):
    """Steps of two batches each; the first of the second one is spoilt."""
    runner = make_runner(
        tmp_path,
        make_samples(2, 3, 4, 5, NAN, 1, 3, 3, 5, 5, 1, NAN),
        hook=dict(policy='skip'),
        optim_wrapper=dict(accumulative_counts=2),
    )
    runner.train()
    weight = descend(1, [2, 3, 4, 5])
    # Half of the weight of a step; then nothing, the last batch is spoilt.
    weight -= 0.05 * 2 * 3 * (3 * weight - 1)
    assert float(runner.model.weight) == pytest.approx(weight, rel=1e-5)


def test_skip_stops_if_the_forward_pass_spoilt_statistics(tmp_path):
    runner = make_runner(
        tmp_path,
        make_samples(2, 3, NAN, 1),
        model=Line(norm=True),
        hook=dict(policy='skip'),
    )
    with pytest.raises(FloatingPointError, match='norm.running_mean'):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.skipif(
    not hasattr(torch.amp, 'GradScaler'),
    reason='this torch scales losses on GPUs only',
)
def test_skip_keeps_the_scale_of_mixed_precision(tmp_path, monkeypatch):
    """torch's scaler refuses a step without gradients."""
    from mmengine.optim import AmpOptimWrapper

    name = 'mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available'
    monkeypatch.setattr(name, lambda: True)
    model = Line()
    wrapper = AmpOptimWrapper(
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        loss_scale=8.0,
    )
    wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=8.0)
    monkeypatch.setattr(
        AmpOptimWrapper,
        'optim_context',
        super(AmpOptimWrapper, wrapper).optim_context.__func__,
    )
    runner = make_runner(
        tmp_path,
        make_samples(2, 3, NAN, 1, 4, 5),
        model=model,
        hook=dict(policy='skip'),
    )
    runner.optim_wrapper = wrapper
    runner.train()
    expected = descend(1, [2, 3], [4, 5])
    assert float(model.weight) == pytest.approx(expected, rel=1e-5)
    assert wrapper.loss_scaler.get_scale() == 8.0


@pytest.mark.parametrize(
    ('options', 'words'),
    [(dict(policy='warn'), "'warn'"), (dict(max_skips=0), 'max_skips.*0')],
)
def test_options_out_of_range_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        FiniteLossHook(**options)


def test_processes_decide_together(tmp_path, run_processes):
    """The second of two processes has the sample that is not finite."""
    run_processes('finite_loss.py', tmp_path)
    first, second = (
        torch.load(tmp_path / f'{rank}.pt', weights_only=True)
        for rank in range(2)
    )
    assert first == second
    assert 'process 1: loss_square = nan' in first['stop']
    assert 'process 0' not in first['stop']
    assert 'pictures/5.png id 105' in first['stop']
    # The means of both processes, [2 4] with [3 3], and [1 1] with [1 1].
    expected = descend(1, [2, 4, 3, 3], [1, 1, 1, 1])
    assert first['weight'] == pytest.approx(expected, rel=1e-5)
    assert not list(tmp_path.glob('stop/*.pth'))
    assert '2 of 6 batches of epoch 1 had no visible' in read_log(
        tmp_path / 'skip'
    )


# ---------------------------------------------------------- visible keypoints


def test_batches_and_epochs_without_keypoints_are_reported(tmp_path):
    visible = [1.0, 0.0] + [0.0] * 8
    samples = [make_sample(i, 1.0, v) for i, v in enumerate(visible)]
    make_runner(tmp_path, samples).train()
    log = read_log(tmp_path)
    assert '4 of 5 batches of epoch 1 had no visible keypoint.' in log
    assert 'keypoint in the batch of epoch 1, step 2: Samples of the batch: '
    assert 'pictures/2.png id 102; pictures/3.png id 103.' in log
    assert log.count('no visible keypoint in the batch') == 3
    assert 'in epoch 1: nothing can be learned' not in log

    make_runner(tmp_path / 'none', samples[2:], epochs=2).train()
    log = read_log(tmp_path / 'none')
    assert 'no visible keypoint in epoch 1: nothing can be learned' in log
    assert 'no visible keypoint in epoch 2: nothing can be learned' in log
    assert log.count('no visible keypoint in the batch') == 3


def test_visible_keypoints_are_not_reported(tmp_path):
    make_runner(tmp_path, make_samples(1, 1, 1, 1)).train()
    assert 'no visible keypoint' not in read_log(tmp_path)


def make_batch(part: str, field: str, value) -> dict:
    sample = PoseDataSample()
    setattr(sample, part, InstanceData(**{field: value}))
    return dict(data_samples=[sample])


@pytest.mark.parametrize(
    ('batch', 'expected'),
    [
        # Group Pose, of nobody and of two people.
        (
            make_batch(
                'gt_instance_labels', 'keypoints_visible', torch.zeros(0, 17)
            ),
            False,
        ),
        (
            make_batch(
                'gt_instance_labels', 'keypoints_visible', torch.eye(2)
            ),
            True,
        ),
        # Associative embedding of mmpose.
        (
            make_batch('gt_instances', 'keypoints_visible', np.zeros((2, 5))),
            False,
        ),
        # Nothing is known.
        (make_batch('gt_instances', 'bboxes', np.zeros((2, 4))), True),
        ([torch.zeros(3)], True),
        (None, True),
    ],
)
def test_where_visibility_is_read(batch, expected):
    assert has_keypoint(batch) is expected


def test_samples_are_named_by_what_was_packed():
    def name(rows=(), **meta):
        sample = PoseDataSample(metainfo=meta)
        keypoints = np.zeros((3, 2, 2), np.float32)
        keypoints[list(rows)] = NAN
        sample.gt_instances = InstanceData(keypoints=keypoints)
        return describe_samples(dict(data_samples=[sample]))

    assert name(img_path='a.png', id=[7, 8, 9]) == (
        'Samples of the batch: a.png id 7, 8, 9.'
    )
    assert name([0, 2], img_path='a.png', id=[7, 8, 9]) == (
        'Not finite in its labels: a.png id 7, 9.'
    )
    assert name(img_id=4) == 'Samples of the batch: image 4.'
    assert name(dataset_name='aic', img_path='b.png', id=5) == (
        'Samples of the batch: aic b.png id 5.'
    )
    assert 'number 0 of the batch' in name()
    assert (
        describe_samples([1, 2]) == 'The samples of the batch have no names.'
    )
