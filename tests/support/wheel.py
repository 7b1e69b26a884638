"""Build the wheel, and use it as somebody does who has no clone."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from pose_samples import generate

#: What a build reads; in a copy, since it writes beside it.
SOURCES = (
    *('gtpt_mm', 'configs', 'tools', 'requirements'),
    *('setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE'),
    *('model-index.yml', 'dataset-index.yml', 'CHANGELOG.md'),
)
CONFIG = 'gtpt-t_1xb16-14e_sample-96x64.py'
#: One epoch on eight pictures.
SHORT = [
    *('--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1'),
    *('train_dataloader.num_workers=0', 'val_dataloader.num_workers=0'),
    *('test_dataloader.num_workers=0', 'train_dataloader.batch_size=8'),
]
PREDICT = """
import json, sys
import gtpt_mm
from gtpt_mm.config_folder import find_configs
from mmpose.apis import MMPoseInferencer
[config] = find_configs().rglob(sys.argv[1])
inferencer = MMPoseInferencer(
    pose2d=str(config), pose2d_weights=sys.argv[2],
    det_model='whole_image', device='cpu')
result = next(inferencer(sys.argv[3]))
[[person]] = result['predictions']
print(json.dumps([gtpt_mm.__file__, len(person['keypoints'])]))
"""


def build_wheel(repo_root: Path, folder: Path) -> Path:
    """Build the wheel of the repository."""
    source = folder / 'source'
    source.mkdir()
    for name in SOURCES:
        path = repo_root / name
        if path.is_dir():
            ignore = shutil.ignore_patterns('__pycache__')
            shutil.copytree(path, source / name, ignore=ignore)
        else:
            shutil.copyfile(path, source / name)
    command = ['-m', 'pip', 'wheel', '--quiet', '--no-deps']
    command += ['--no-build-isolation', '-w', str(folder), str(source)]
    run([sys.executable, *command], cwd=folder)
    [wheel] = folder.glob('gtpt_mm-*.whl')
    return wheel


def list_wheel(wheel: Path) -> set[str]:
    """Return the files of a wheel below ``gtpt_mm``."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if name[-1] != '/'}


def run(command: list, cwd: Path, **variables: str) -> str:
    """Run a command; return what it printed, fail if it failed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={
            **{k: v for k, v in os.environ.items() if k != 'PYTHONPATH'},
            **dict(OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='-1'),
            **dict(PYTHONWARNINGS='ignore', **variables),
        },
        capture_output=True,
        text=True,
    )
    words = f'{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}'
    assert done.returncode == 0, words
    return done.stdout + done.stderr


class User:
    """Somebody with a wheel and a folder of drawn people.

    Args:
        python: Interpreter of the environment.
        site: Folder that holds ``gtpt_mm``.
        folder: Where to work.
        variables: Of the processes' environment.
    """

    def __init__(
        self, python: str, site: Path, folder: Path, **variables: str
    ) -> None:
        self.python, self.site, self.folder = python, site, folder
        self.variables = variables
        generate(
            folder / 'data/demo',
            layouts=['coco'],
            num_train=8,
            num_val=2,
            max_people=1,
            difficulty='easy',
        )

    def run(self, *args) -> str:
        """Run Python with arguments."""
        return run([self.python, *args], self.folder, **self.variables)

    def mim(self, *args) -> str:
        """Run ``mim``."""
        return self.run('-m', 'mim', *args)

    def search(self) -> dict[str, dict]:
        """Return what ``mim search`` finds: field -> model -> value."""
        out = self.folder / 'found.json'
        self.mim('search', 'gtpt_mm', '--model', 'gtpt', '--json', out)
        return json.loads(out.read_text())

    def find_checkpoint(self, work_dir: str) -> Path:
        """Return the checkpoint of the one epoch."""
        return self.folder / work_dir / 'epoch_1.pth'

    def predict(self, checkpoint: Path) -> int:
        """Return the number of keypoints found in a drawn picture."""
        [image, *_] = sorted((self.folder / 'data/demo').rglob('val*/*.jpg'))
        printed = self.run('-c', PREDICT, CONFIG, checkpoint, image)
        origin, num_keypoints = json.loads(printed.splitlines()[-1])
        assert Path(origin) == self.site / 'gtpt_mm/__init__.py'
        return num_keypoints
