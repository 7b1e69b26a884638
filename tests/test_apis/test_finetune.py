"""From an annotated set to a trained model: rules, configs, trainings."""

import json
import os
import shlex
import shutil
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import LoggerHook
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS
from support.own_set import NAMES, write_own_set

from gtpt_mm.apis.finetune.facts import (
    SetFacts,
    measure_circular_variance,
    measure_handedness,
    read_facts,
)
from gtpt_mm.apis.finetune.finetune import find_best, finetune
from gtpt_mm.apis.finetune.keypoint_groups import find_groups
from gtpt_mm.apis.finetune.project import Options, new_project, open_project
from gtpt_mm.apis.finetune.report import next_commands
from gtpt_mm.apis.finetune.rules import choose_recipe
from gtpt_mm.apis.model_names import get_config
from gtpt_mm.cli import INTERRUPTED, main
from gtpt_mm.compat.runs import logger_backends
from gtpt_mm.datasets.exchange.folder import read_folder

FACTS = SetFacts(
    name='bee',
    keypoints=tuple('abcdef'),
    links=(),
    swap=((0, 1),),
    num_train=166,
    num_val=38,
    num_pictures=166,
    short_side=299.0,
    aspect=0.96,
    circular_variance=0.9,
    handedness=0.9,
)
FAMILIES = (
    'vitpose-s',
    'gtpt-t',
    'hevitpose-t',
    'hevitpose-t-mpii',
    'vitpose-plus-s',
    'group-pose-r50',
    'group-pose-swin-t',
)
#: Of a ViTPose that trains in seconds, in this process.
TINY = {
    'model.backbone.arch': dict(
        _delete_=True, embed_dims=32, depth=2, num_heads=2
    ),
    'model.head.in_channels': 32,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    'default_hooks.logger.interval': 1,
}


SMALL_GROUP_POSE = {
    'model.head.num_queries': 10,
    'model.head.encoder.num_layers': 1,
    'model.head.decoder.num_layers': 1,
    'model.test_cfg.num_select': 10,
}


@pytest.fixture(scope='module')
def figures(tmp_path_factory):
    """A set of 16 + 6 pictures of stick figures that stand."""
    return write_own_set(tmp_path_factory.mktemp('sets') / 'figures')


def tiny(figures, name, **options) -> Options:
    """Return options of a training of seconds.

    Args:
        figures: The set.
        name: Of the visualizer; runs in one process must not share it.
        options: Others than the default ones.
    """
    settings = TINY | {'visualizer.name': name}
    settings |= options.pop('settings', {})
    values = dict(epochs=2, batch=8, input_size=(32, 32), device='cpu')
    return Options(
        'vitpose-s',
        str(figures),
        'scratch',
        settings=settings,
        **(values | options),
    )


# ------------------------------------------------------------------ the rule


@pytest.mark.parametrize(
    'family, scratch, device, num, expected',
    [
        ('vitpose', True, 'cpu', 70, (114, 8, 7.1e-4, 51, (128, 128))),
        ('vitpose', True, 'cpu', 166, (48, 16, 1e-3, 26, (128, 128))),
        ('vitpose', True, 'cpu', 1900, (10, 32, 1.4e-3, 30, (128, 128))),
        ('vitpose', False, 'cpu', 166, (24, 16, 3e-4, 13, (224, 224))),
        ('vitpose', False, 'cuda', 166, (210, 16, 3e-4, 115, (224, 224))),
        ('vitpose', False, 'cuda', 1900, (21, 64, 6e-4, 31, (224, 224))),
        ('gtpt', True, 'cuda', 1900, (53, 8, 2e-3, 500, (224, 224))),
        ('gtpt', True, 'cpu', 166, (48, 8, 2e-3, 50, (128, 128))),
        ('gtpt', False, 'cpu', 166, (24, 16, 5e-4, 13, (224, 224))),
    ],
)
def test_recipe_by_size_and_device(family, scratch, device, num, expected):
    facts = replace(FACTS, num_train=num)
    recipe = choose_recipe(facts, family, (192, 256), scratch, device)
    assert (
        recipe.epochs,
        recipe.batch,
        recipe.lr,
        recipe.warmup,
        recipe.input_size,
    ) == expected


def test_recipe_of_whole_pictures():
    recipe = choose_recipe(FACTS, 'group-pose', (0, 0), True, 'cpu')
    assert (recipe.batch, recipe.input_size) == (2, (0, 288))
    recipe = choose_recipe(FACTS, 'group-pose', (0, 0), False, 'cuda')
    assert (recipe.batch, recipe.input_size) == (4, (0, 288))


def test_input_stays_upright_for_upright_boxes():
    facts = replace(FACTS, aspect=0.6)
    recipe = choose_recipe(facts, 'vitpose', (192, 256), False, 'cpu')
    assert recipe.input_size == (192, 256)
    recipe = choose_recipe(facts, 'vitpose', (192, 256), True, 'cpu')
    assert recipe.input_size == (96, 128)


@pytest.mark.parametrize(
    'variance, swap, handedness, rotation, flip',
    [
        (0.9, (), 0.9, 180, False),
        (0.1, (), 0.9, 40, False),
        (0.1, (), 0.1, 40, True),
        (0.1, ((0, 1),), 0.9, 40, True),
    ],
)
def test_rotation_and_flips(variance, swap, handedness, rotation, flip):
    facts = replace(
        FACTS, circular_variance=variance, swap=swap, handedness=handedness
    )
    recipe = choose_recipe(facts, 'vitpose', (192, 256), True, 'cpu')
    assert (recipe.rotation, recipe.flip) == (rotation, flip)


# ------------------------------------------------------------- measurements


def make_keypoints(angles, mirrored=None) -> tuple[np.ndarray, np.ndarray]:
    """Return an L of three keypoints, turned and mirrored, and its boxes."""
    angles = np.asarray(angles)
    shape = np.array([0, 10j, 4 + 10j])
    points = np.tile(shape, (len(angles), 1))
    if mirrored is not None:
        points = np.where(mirrored[:, None], -points.conj(), points)
    points = points * np.exp(1j * angles)[:, None]
    seen = np.full(points.shape, 2)
    keypoints = np.stack((points.real, points.imag, seen), axis=-1)
    return keypoints, np.full((len(angles), 2), 12.0)


def test_circular_variance_of_known_angles():
    even = np.arange(40) * 2 * np.pi / 40
    assert measure_circular_variance(*make_keypoints(even)) == pytest.approx(1)
    same = np.full(40, 0.7)
    assert measure_circular_variance(*make_keypoints(same)) == pytest.approx(0)
    half = np.where(np.arange(40) % 2, np.pi / 2, 0)  # |1 + i| / 2
    assert measure_circular_variance(*make_keypoints(half)) == pytest.approx(
        1 - 0.5**0.5
    )


def test_walkers_to_both_sides_have_an_upright_direction():
    mirrored = np.arange(40) % 2 == 0
    keypoints, boxes = make_keypoints(np.zeros(40), mirrored)
    assert measure_circular_variance(keypoints, boxes) == pytest.approx(0)
    assert measure_handedness(keypoints) == pytest.approx(0)


def test_handedness_does_not_depend_on_the_angle():
    angles = np.random.default_rng(0).uniform(0, 6.28, 40)
    keypoints, _ = make_keypoints(angles)
    assert measure_handedness(keypoints) == pytest.approx(1)
    quarter = np.arange(40) % 4 == 0  # 30 one way, 10 the other: 20 / 40
    keypoints, _ = make_keypoints(angles, quarter)
    assert measure_handedness(keypoints) == pytest.approx(0.5)


def test_few_instances_are_taken_as_upright():
    keypoints, boxes = make_keypoints(np.arange(5.0))
    assert measure_circular_variance(keypoints, boxes) == 0


@pytest.mark.parametrize(
    'name, is_turned',
    [
        ('bee', True),
        ('lspet_sub', False),
        ('mirror_mouse', False),
        ('coco_mini', False),
    ],
)
def test_direction_of_the_real_sets(name, is_turned, shared_dir):
    path = shared_dir / 'data' / 'sets' / name / 'train.json'
    rows = [
        row
        for row in json.loads(path.read_text())['annotations']
        if not row.get('iscrowd') and any(row['keypoints'][2::3])
    ]
    keypoints = np.array([row['keypoints'] for row in rows], float)
    keypoints = keypoints.reshape(len(rows), -1, 3)
    boxes = np.array([row['bbox'][2:] for row in rows], float)
    found = measure_circular_variance(keypoints, boxes)
    facts = replace(FACTS, circular_variance=found)
    recipe = choose_recipe(facts, 'vitpose', (192, 256), True, 'cpu')
    assert (recipe.rotation == 180) is is_turned


# ------------------------------------------------------------ keypoint groups

COCO_LINKS = [
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12),
    (5, 6), (5, 7), (6, 8), (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3),
    (2, 4), (3, 5), (4, 6),
]  # fmt: skip
COCO_SWAP = [(i, i + 1) for i in range(1, 17, 2)]


def test_groups_of_coco_are_those_of_the_paper():
    groups = find_groups(17, COCO_LINKS, COCO_SWAP)
    assert groups == [
        list(range(5)),
        list(range(5, 11)),
        list(range(11, 17)),
    ]


def test_groups_of_a_figure_a_star_and_no_skeleton():
    links = [(0, 1), (1, 2), (1, 3), (1, 4), (1, 5)]
    swap = [(2, 3), (4, 5)]
    assert find_groups(6, links, swap) == [[0, 1], [2, 3], [4, 5]]
    star = [(0, i) for i in range(1, 9)]
    groups = find_groups(9, star, [])
    assert sorted(sum(groups, [])) == list(range(9))
    assert len(groups) <= 4 and min(map(len, groups)) > 1
    assert find_groups(7, [], []) == [[0, 1, 2], [3, 4, 5, 6]]
    assert find_groups(1, [], []) == [[0]]


# ------------------------------------------------------------------- configs


def write_weights(path) -> str:
    """Write a checkpoint that nobody reads in these tests."""
    torch.save(dict(state_dict={}), path)
    return str(path)


@pytest.mark.parametrize(
    'model, start',
    [
        (model, start)
        for model in FAMILIES
        for start in ('scratch', 'weights')
        # For the exception see test_vitpose_plus_with_weights.
        if (model, start) != ('vitpose-plus-s', 'weights')
    ],
)
def test_config_of_every_family(model, start, figures, tmp_path, monkeypatch):
    weights = 'scratch'
    if start == 'weights':
        weights = write_weights(tmp_path / 'w.pth')
    options = Options(
        model, str(figures), weights, logger='tensorboard', device='cpu'
    )
    config = new_project(options, tmp_path / 'mine').config
    lines = config.read_text().splitlines()
    assert len(lines) <= 30, config.read_text()
    assert max(map(len, lines)) <= 130
    monkeypatch.chdir('/')  # paths start at the config's folder
    cfg = Config.fromfile(config)
    assert cfg.get('load_from') == (None if weights == 'scratch' else weights)
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        dataset = DATASETS.build(loader.dataset)
        meta = dataset[0]['data_samples'].metainfo
        path = os.path.realpath(meta['img_path'])
        assert path.startswith(os.path.realpath(figures))
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 16
    flat = str(cfg.model.head)
    if 'group-pose' in model:
        assert cfg.model.head.metainfo.endswith('figures/metainfo.py')
    else:
        assert f"'out_channels': {len(NAMES)}" in flat


def test_gtpt_config_shows_its_groups(figures, tmp_path):
    options = Options('gtpt-t', str(figures), 'scratch', device='cpu')
    project = new_project(options, tmp_path / 'mine')
    text = project.config.read_text()
    assert 'dict(sparse=[2, 3]),  # left_hand, right_hand' in text
    assert '  left_hand, right_hand' in project.notes
    groups = Config.fromfile(project.config).model.backbone.keypoint_groups
    assert [g.sparse for g in groups] == [[0, 1], [2, 3], [4, 5]]


def test_turned_set_without_pairs(tmp_path):
    data = write_own_set(tmp_path / 'stars', 40, 4, turn=1.0, swap={})
    facts = read_facts(read_folder(data))
    assert facts.circular_variance > 0.7 and facts.handedness > 0.8
    options = Options('vitpose-s', str(data), 'scratch', device='cpu')
    cfg = Config.fromfile(new_project(options, tmp_path / 'mine').config)
    kinds = [t.type for t in cfg.train_pipeline]
    assert 'RandomFlip' not in kinds
    assert cfg.train_pipeline[2].rotate_factor == 180
    assert cfg.model.test_cfg.flip_test is False


def test_set_values_of_the_config(figures, tmp_path, capsys):
    out = str(tmp_path / 'mine')
    args = ['new', 'vitpose-s', '--data', str(figures), '--from', 'scratch']
    args += ['--dir', out, '--device', 'cpu', '--epochs', '7', '--lr', '0.01']
    code = main(
        [*args, '--set', 'train_pipeline.3.rotate_factor=15',
         'randomness.seed=3', 'model.head.loss.loss_weight=2.5']
    )  # fmt: skip
    assert code == 0
    cfg = Config.fromfile(tmp_path / 'mine' / 'mine.py')
    assert cfg.train_cfg.max_epochs == 7
    assert cfg.optim_wrapper.optimizer.lr == 0.01
    assert cfg.train_pipeline[3].rotate_factor == 15
    assert cfg.randomness == dict(seed=3)
    assert cfg.model.head.loss.loss_weight == 2.5
    words = capsys.readouterr().out
    assert 'figure: 6 keypoints, 2 pairs left/right; 16 instances' in words
    assert main(args) == 2  # exists
    assert 'exists; give --overwrite' in capsys.readouterr().err


@pytest.mark.parametrize(
    'args, words',
    [
        (['vitpose-x'], "no model 'vitpose-x'; near to it"),
        (['ae-vitpose-b'], 'has no recipe; it has one for GTPT'),
        (['mae-vit-b'], 'is an encoder, not a model of poses'),
        (['vitpose-s', '--epochs', '0'], '--epochs must be positive, got 0'),
        (['vitpose-s', '--logger', 'x'], "no logger 'x'; there are tensorb"),
        (['vitpose-s', '--set', 'x'], '--set x: give KEY=VALUE'),
        (['vitpose-s', '--from', 'nothing.pth'], '--from scratch'),
        (['vitpose-s', '--data', 'nowhere'], 'nowhere is not a folder that'),
    ],
)
def test_bad_input(args, words, figures, tmp_path, capsys):
    given = ['--data', str(figures), '--from', 'scratch']
    out = ['--dir', str(tmp_path / 'mine')]
    assert main(['new', args[0], *given, *out, *args[1:]]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / 'mine').exists()


# ----------------------------------------------------------------- trainings


def test_finetune_stopped_and_continued(
    figures, tmp_path, monkeypatch, capsys
):
    options = tiny(figures, 'stopped')
    project = new_project(options, tmp_path / 'mine')

    def stop(self, runner, *args):
        if runner.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LoggerHook, 'before_train_epoch', stop, raising=False)
        with pytest.raises(KeyboardInterrupt):
            finetune(project)
    assert (project.work_dir / 'epoch_1.pth').is_file()
    first = (project.work_dir / 'epoch_1.pth').stat().st_mtime_ns
    assert open_project(options, tmp_path / 'mine') is not None
    numbers = finetune(project)
    assert set(numbers) == {'AP', 'PCK@0.1'}
    assert first == (project.work_dir / 'epoch_1.pth').stat().st_mtime_ns
    tested = json.loads((project.work_dir / 'test/metrics.json').read_text())
    assert numbers['AP'] == pytest.approx(tested['coco/AP'], abs=1e-6)
    assert numbers['PCK@0.1'] == pytest.approx(tested['PCK'], abs=0.02)
    page = project.report.read_text()
    for words in ('left_hand', '<svg', 'data:image/jpeg', 'gtpt-mm predict'):
        assert words in page
    last = (project.work_dir / 'epoch_2.pth').stat().st_mtime_ns
    assert finetune(project) == numbers  # nothing is done twice
    assert last == (project.work_dir / 'epoch_2.pth').stat().st_mtime_ns
    other = replace(options, epochs=3)
    with pytest.raises(ValueError, match='begun with epochs=2, now 3'):
        open_project(other, tmp_path / 'mine')
    for line in next_commands(project, find_best(project)):
        program, *args = shlex.split(line)
        assert program == 'gtpt-mm'
        assert main(args) == 0, line
    assert (tmp_path / 'mine/predicted/predictions.jsonl').is_file()
    assert (tmp_path / 'mine/mine.onnx').is_file()
    assert (tmp_path / 'mine/transformers/config.json').is_file()


def test_pictures_in_folders_of_folders(figures, tmp_path):
    """``predict`` reads one folder: the printed one has pictures."""
    nested = shutil.copytree(figures, tmp_path / 'nested')
    project = new_project(tiny(figures, 'flat'), tmp_path / 'flat')
    flat, *_ = next_commands(project, tmp_path / 'best.pth')
    assert shlex.split(flat)[2] == str(figures / 'images')
    for split in ('train', 'val'):
        file = nested / f'{split}.json'
        content = json.loads(file.read_text('utf-8'))
        for image in content['images']:
            old = nested / 'images' / image['file_name']
            image['file_name'] = f'über {split}/{old.name}'
            new = nested / 'images' / image['file_name']
            new.parent.mkdir(exist_ok=True)
            old.rename(new)
        file.write_text(json.dumps(content), 'utf-8')
    project = new_project(tiny(nested, 'nested'), tmp_path / 'mine')
    line, *_ = next_commands(project, tmp_path / 'best.pth')
    assert shlex.split(line)[2] == str(nested / 'images/über val')


def test_gtpt_in_a_folder_of_its_own(figures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = replace(
        tiny(figures, 'gtpt', epochs=1, settings={}),
        model='gtpt-t',
        input_size=(48, 48),
        settings={k: v for k, v in TINY.items() if not k.startswith('model')}
        | {'visualizer.name': 'gtpt'},
    )
    project = new_project(options, tmp_path / 'mine')
    numbers = finetune(project)
    assert 0 <= numbers['PCK@0.1'] <= 1
    cfg = Config.fromfile(project.config)
    assert cfg.model.type == 'GuidedGTPTEstimator'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['mine']
    commands = next_commands(project, find_best(project))
    assert [line.split()[1] for line in commands] == [
        'predict',
        'export',
        'pack',
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    'model, size',
    [
        ('hevitpose-t', (64, 64)),
        ('vitpose-plus-s', (32, 32)),
        ('group-pose-r50', (0, 96)),
    ],
)
def test_every_family_trains(model, size, figures, tmp_path):
    settings = {k: v for k, v in TINY.items() if not k.startswith('model')}
    if model == 'group-pose-r50':
        settings |= SMALL_GROUP_POSE
    options = Options(
        model, str(figures), 'scratch', epochs=1, input_size=size,
        settings=settings | {'visualizer.name': model}, device='cpu',
    )  # fmt: skip
    project = new_project(options, tmp_path / 'mine')
    numbers = finetune(project)
    assert 0 <= numbers['PCK@0.1'] <= 1
    line, *_ = next_commands(project, find_best(project))
    assert main(shlex.split(line)[1:]) == 0


@pytest.mark.slow
def test_vitpose_plus_with_weights(figures, tmp_path):
    init_default_scope('mmpose')
    old = MODELS.build(get_config('vitpose-plus-s').model)
    weights = tmp_path / 'plus.pth'
    torch.save(dict(state_dict=old.state_dict()), weights)
    options = Options(
        'vitpose-plus-s', str(figures), str(weights), logger='wandb',
        device='cpu',
    )  # fmt: skip
    project = new_project(options, tmp_path / 'mine')
    assert len(project.config.read_text().splitlines()) <= 30
    cfg = Config.fromfile(project.config)
    assert cfg.custom_hooks[0].trainable == [
        'backbone.experts.6', 'head.figure',
    ]  # fmt: skip
    new = MODELS.build(cfg.model)
    start = torch.load(cfg.load_from)['state_dict']
    new.load_state_dict(start, strict=True)
    expert = 'backbone.layers.3.mlp.experts.{}.weight'
    assert torch.equal(start[expert.format(6)], start[expert.format(0)])
    assert new.head.heads['figure'].final_layer.out_channels == len(NAMES)


def test_command_is_interrupted(figures, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        'gtpt_mm.apis.finetune.finetune.train', _raise_interrupt
    )
    args = ['finetune', 'vitpose-s', '--data', str(figures), '--from']
    args += ['scratch', '--dir', str(tmp_path / 'a'), '--device', 'cpu']
    assert main(args) == INTERRUPTED


def _raise_interrupt(project):
    raise KeyboardInterrupt


# ------------------------------------------------------------------- loggers


def test_names_that_mlflow_allows():
    assert logger_backends._allowed('coco/AP (M)') == 'coco/AP M'
    backend = logger_backends.MLflowVisBackend('')
    content = dict(a=1, b=[2, dict(c=[3, 4])], d=dict(e='f'))
    assert backend._flatten(content) == {
        'a': 1, 'b.0': 2, 'b.1.c': [3, 4], 'd.e': 'f',
    }  # fmt: skip


@pytest.mark.parametrize(
    'name',
    [
        'tensorboard',
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ('wandb', 'mlflow', 'clearml')
        ),
    ],
)
def test_curves_and_pictures_arrive(name, figures, tmp_path, monkeypatch):
    monkeypatch.setenv('WANDB_SILENT', 'true')
    monkeypatch.delenv('CLEARML_CACHE_DIR', raising=False)
    options = tiny(figures, f'log_{name}', epochs=1, logger=name)
    project = new_project(options, tmp_path / 'mine')
    finetune(project)
    tags, pictures = READERS[name](project.work_dir, tmp_path)
    assert {'loss', 'lr', 'PCK', 'coco/AP'} <= tags
    assert pictures and pictures[0].ndim == 3 and pictures[0].shape[2] == 3
    assert np.ptp(pictures[0]) > 0


def read_tensorboard(work_dir, _):
    from tensorboard.backend.event_processing.event_accumulator import (
        EventAccumulator,
    )

    [file] = work_dir.glob('*/vis_data/events.*')
    events = EventAccumulator(str(file.parent)).Reload()
    names = events.Tags()['images']
    data = [e.encoded_image_string for n in names for e in events.Images(n)]
    return set(events.Tags()['scalars']), list(map(decode, data))


def decode(data: bytes) -> np.ndarray:
    import cv2

    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def read_wandb(work_dir, _):
    from wandb.proto import wandb_internal_pb2 as pb

    [file] = work_dir.glob('*/vis_data/wandb/offline-run-*/*.wandb')
    tags = set()
    for data in read_log(file.read_bytes()):
        record = pb.Record()
        record.ParseFromString(data)
        for item in record.history.item:
            tags.add(item.key or '.'.join(item.nested_key))
    media = sorted(file.parent.glob('files/media/images/**/*.png'))
    return tags, [decode(path.read_bytes()) for path in media]


def read_log(content: bytes):
    """Yield the records of a log of LevelDB, as W&B writes it."""
    at, parts = 7, []  # behind its own header
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        size, kind = struct.unpack_from('<HB', content, at + 4)
        parts.append(content[at + 7 : at + 7 + size])
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield b''.join(parts)
            parts = []


def read_mlflow(work_dir, _):
    [folder] = work_dir.glob('*/vis_data')
    files = [p for p in folder.glob('*/*/metrics/**/*') if p.is_file()]
    tags = {
        str(p.relative_to(next(a for a in p.parents if a.name == 'metrics')))
        for p in files
    }
    media = sorted(folder.glob('*/*/artifacts/**/*.png'))
    return tags, [decode(path.read_bytes()) for path in media]


def read_clearml(work_dir, _):
    [file] = work_dir.glob('*/vis_data/offline/*.zip')
    with zipfile.ZipFile(file) as content:
        rows = [
            json.loads(line)
            for line in content.read('metrics.jsonl').decode().splitlines()
        ]
        data = [
            content.read(name)
            for name in content.namelist()
            if name.endswith('.jpeg')
        ]
    events = [
        e for row in rows for e in (row if isinstance(row, list) else [row])
    ]
    return {e.get('metric') for e in events}, list(map(decode, data))


READERS = dict(
    tensorboard=read_tensorboard,
    wandb=read_wandb,
    mlflow=read_mlflow,
    clearml=read_clearml,
)
