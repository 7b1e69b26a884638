"""The folder in which the shared cases run: copies, data and checkpoints.

The cases were written for a scratch folder of their author: they carry marks
(``@ROOT@`` and others) and expect data, trainings and files of certain names
beside them. ``Scratch.prepare`` makes the parts that a script asks for, once.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import mmengine

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(mmengine.__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
#: The environment variable by which processes of a run are found again.
MARK = 'GTPT_MM_FAULTS'


class Replacement(NamedTuple):
    """A text that is replaced when a case is copied."""

    old: str
    new: str
    reason: str


REPLACEMENTS = (
    Replacement(
        '@ROOT@/.venv/bin/python', sys.executable, 'the running interpreter'
    ),
    Replacement('@ROOT@/.venv/bin', str(BIN), 'the running interpreter'),
    Replacement(
        "ROOT + '/.venv/lib/python3.11/site-packages/",
        f"'{SITE}/",
        'the running interpreter',
    ),
    Replacement("'authors'", "'official'", 'renamed option of convert'),
    Replacement('--to authors', '--to official', 'renamed option of convert'),
    Replacement('vitposepp-t', 'vitpose-plus-t', 'renamed config'),
    Replacement(
        'topdown_heatmap/sample/td-hm_hevitpose',
        'hevitpose/sample/td-hm_hevitpose',
        'moved config',
    ),
    Replacement(
        "len(a), a[0]['bbox'], a[0]['bbox_score'])",
        'len(a))',
        'nobody has no box',
    ),
    Replacement(
        "len(c), c[0]['bbox'], c[0]['bbox_score'])", 'len(c))', 'the same'
    ),
    Replacement(
        'c.model.backbone.init_cfg = None',
        'c.model.backbone.init_cfg = None; torch.manual_seed(0)',
        'most seeds make a detector that finds nothing at any threshold',
    ),
    Replacement(
        'state_dict=MODELS.build(c.model).state_dict()',
        'state_dict=(lambda m: [k.bias.data[0].add_(1) for k in '
        'm.bbox_head.rtm_cls] and m.state_dict())(MODELS.build(c.model))',
        'random weights favour any category; this one favours people',
    ),
    Replacement(
        '$V/python $D/inferencer_demo.py',
        '$V/python -m gtpt_mm run $D/inferencer_demo.py',
        'the launcher of scripts, which did not exist',
    ),
    Replacement(
        'run tb $B/mim train mmpose gtpt_starfish.py',
        'run tb $B/mim train mmpose gtpt_tb.py',
        'a command line gives mmengine texts, not the dicts of backends',
    ),
    Replacement(
        """ visualizer.vis_backends="[{'type':'LocalVisBackend'},"""
        """{'type':'TensorboardVisBackend'}]\"""",
        '',
        'the same',
    ),
    Replacement(
        'from gtpt_mm.apis import select_dataset',
        'from gtpt_mm.apis import split_model as select_dataset',
        'renamed function',
    ),
    Replacement(
        'gtpt_mm_sample_data.json', 'pose_samples.json', 'renamed manifest'
    ),
    Replacement(
        'with contextlib.redirect_stdout(io.StringIO()):\n            ds =',
        'with contextlib.nullcontext():\n            ds =',
        'the log is a part of what the user sees',
    ),
    Replacement(
        'data = m.data_preprocessor(pseudo_collate([ds[i] for i in range(n)])',
        'import mmengine.dataset as D; collate = getattr(D, '
        "cfg.train_dataloader.get('collate_fn', {}).get("
        "'type', 'pseudo_collate')); "
        'data = m.data_preprocessor(collate([ds[i] for i in range(n)])',
        'collated as the config says, which the pretraining needs',
    ),
    Replacement(
        "'-> head of', head.names[x.dataset_idx])",
        "'-> head of', head.names[x.dataset_idx], "
        "'; the sample says', x.get('dataset_name'))",
        'the name that the head compares',
    ),
    Replacement(
        'out, err = io.StringIO(), io.StringIO(); res =',
        "[os.remove(p) for p in glob.glob('@WORK@/cli/vis/*_pruning.png') "
        "if 'again' not in name]; "
        'out, err = io.StringIO(), io.StringIO(); res =',
        'a picture that exists would be the only answer of all later cases',
    ),
    Replacement(
        ' | tail -3 | cut',
        ' | tail -8 | cut',
        'more lines say what was resumed, and from which file',
    ),
    Replacement(
        'env -i PATH=/usr/bin:/bin',
        'env -i PATH=/usr/bin:/bin PYTHONPATH=@ROOT@',
        'the empty environment must still import this tree',
    ),
)
SIX_DATASETS = (
    'configs/multi_dataset/vitpose_plus/sample/'
    'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64.py'
)
#: Other names under which a script is imported or read by another.
ALIASES = {
    'config_and_numbers.py': 'g5.py',
    'cli.py': 'g6.py',
    'silent_codec.py': 'g9.py',
}

INFERENCE = 'from inference_common import'


class Scratch:
    """A scratch folder.

    Args:
        path: The folder, made if it is absent.
        shared: The folder with ``faults/cases``, ``bugs/training`` and
            ``bugs/inference``.
    """

    def __init__(self, path: Path, shared: Path) -> None:
        self.path = path.resolve()
        self.shared = shared.resolve()
        self.env = dict(
            os.environ,
            PYTHONPATH=f'{ROOT}:{ROOT}/projects/pose_samples',
            PATH=f'{BIN}:{os.environ["PATH"]}',
            OMP_NUM_THREADS='1',
            CUDA_VISIBLE_DEVICES='-1',
            PYTHONWARNINGS='ignore',
            **{MARK: str(self.path)},
        )
        for name in ('logs', 'wd', 'ck', 'data', 'runs', 'env', 'output'):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        self._is_filled = False

    def fill(self) -> None:
        """Copy the cases, once; what an earlier call copied is replaced."""
        if not self._is_filled:
            self._link('configs', ROOT / 'configs')
            self._copy_cases()
            self._is_filled = True

    def prepare(self, part: str) -> None:
        """Make a part that a script needs, unless it is there."""
        done = self.path / 'output' / f'prepared_{part}'
        if done.exists():
            return
        PARTS[part](self)
        done.touch()

    def bend(self, text: str) -> str:
        """Return a case's text with replacements and marks filled in."""
        for old, new, _ in REPLACEMENTS:
            text = text.replace(old, new)
        for mark, value in (
            ('@ROOT@', ROOT),
            ('@SITE@', SITE),
            ('@WORK@', self.path),
            ('@SHARED@', self.shared),
        ):
            text = text.replace(mark, str(value))
        return text

    def call(self, *command: object) -> None:
        """Run a command of the preparation; raise with its output if bad."""
        log = self.path / 'logs' / 'prepare.txt'
        with log.open('a') as file:
            code = subprocess.call(
                [str(part) for part in command],
                cwd=self.path,
                env=self.env,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        if code:
            last = log.read_text(errors='replace')[-1500:]
            raise RuntimeError(f'{command} ended with {code}:\n{last}')

    def _copy_cases(self) -> None:
        own = Path(__file__).parent
        folders = (
            self.shared / 'faults' / 'cases',
            self.shared / 'bugs' / 'training',
            self.shared / 'bugs' / 'inference',
            own / 'cases',
        )
        taken: dict[Path, Path] = {}
        for folder in folders:
            for source in sorted(folder.rglob('*')):
                if source.suffix not in ('.py', '.sh'):
                    continue
                text = self.bend(source.read_text())
                target = self.path / source.relative_to(folder)
                if folder.name == 'inference':  # its common.py is another one
                    text = text.replace('from common import', INFERENCE)
                    if target.name == 'common.py':
                        target = target.with_name('inference_common.py')
                assert target not in taken, (source, taken[target])
                taken[target] = source
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
                target.chmod(0o755)
        for name, alias in ALIASES.items():
            shutil.copy(self.path / name, self.path / alias)

    def _link(self, name: str, target: Path) -> None:
        link = self.path / name
        if not link.is_symlink():
            link.symlink_to(target)


def _draw(scratch: Scratch, out: str, *options: object) -> None:
    scratch.call(sys.executable, '-m', 'pose_samples', out, *options)


def _demo_data(scratch: Scratch) -> None:
    """Five steps of eight images in an epoch, as the cases count on."""
    sizes = ('--num-train', 40, '--num-val', 8)
    easy = ('--difficulty', 'easy', '--max-people', 1)
    _draw(scratch, 'data/demo', '--layout', 'coco', *easy, *sizes)


def _sample_data(scratch: Scratch) -> None:
    sizes = ('--num-train', 16, '--num-val', 8)
    layouts = 'coco coco-wholebody mpii aic crowdpose ap10k apt36k'
    names = layouts.split()
    _draw(scratch, 'data/sample', '--layout', *names, *sizes)
    for name in ('s', 'group_pose'):
        scratch._link(f'data/{name}', scratch.path / 'data' / 'sample')


def _starfish_data(scratch: Scratch) -> None:
    scratch.call(sys.executable, 'draw.py', 'data/starfish')


def _training(folder: str, config: str) -> Callable[[Scratch], None]:
    def train(scratch: Scratch) -> None:
        scratch.prepare('demo')
        shutil.rmtree(scratch.path / folder, ignore_errors=True)
        scratch.call('./tr.sh', f'cfg/{config}.py', folder)

    return train


def _checkpoints(scratch: Scratch) -> None:
    """The files that ``checkpoints.py`` writes before it reads them."""
    scratch.prepare('wd_a')
    scratch.call(sys.executable, 'mkevil.py')
    text = (scratch.path / 'checkpoints.py').read_text()
    text = text.split("for w in ('ck/evil.pth'")[0]
    (scratch.path / 'mkcheckpoints.py').write_text(text)
    scratch.call(sys.executable, 'mkcheckpoints.py')


def _vitpose_plus(scratch: Scratch) -> None:
    """A ViTPose++ with random weights."""
    code = (
        'import gtpt_mm, torch; from mmengine.config import Config; '
        'from mmengine.registry import init_default_scope; '
        "from mmpose.registry import MODELS; init_default_scope('mmpose'); "
        f"model = MODELS.build(Config.fromfile('{SIX_DATASETS}').model); "
        'torch.save(dict(meta={}, state_dict=model.state_dict()), '
        "'ck/pp.pth')"
    )
    scratch.call(sys.executable, '-c', code)


def _picture(scratch: Scratch) -> None:
    folder = scratch.path / 'env' / 'ünïc'
    folder.mkdir(exist_ok=True)
    picture = scratch.shared / 'data' / 'real' / 'coco' / '000000000785.jpg'
    shutil.copyfile(picture, folder / 'bild ä.jpg')


PARTS: dict[str, Callable[[Scratch], None]] = {
    'demo': _demo_data,
    'sample': _sample_data,
    'starfish': _starfish_data,
    'wd_a': _training('wd/a', 'tiny'),
    'wd_n1': _training('wd/n1', 'noaug'),
    'ck': _checkpoints,
    'pp': _vitpose_plus,
    'picture': _picture,
}
