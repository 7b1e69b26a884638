"""Build script of gtpt_mm. Everything but the tool settings lives here."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
#: What a wheel has in gtpt_mm/.mim, where mim and mmengine look for it.
MIM_FILES = (
    'configs/**/*.py',
    'configs/**/*.md',
    'configs/**/*.yml',
    'model-index.yml',
    'dataset-index.yml',
    'tools/train.py',
    'tools/test.py',
)
#: What only some users need: requirements/<name>.txt.
EXTRAS = (
    'app',
    'clearml',
    'deeplabcut',
    'mlflow',
    'onnx',
    'openvino',
    'pandas',
    'parquet',
    'ray',
    'sleap',
    'supervision',
    'tensorboard',
    'tracking',
    'transformers',
    'wandb',
)


def read_requirements(name: str) -> list[str]:
    """Return the requirement lines of ``requirements/<name>.txt``."""
    found = []
    text = (ROOT / 'requirements' / f'{name}.txt').read_text()
    for line in text.splitlines():
        if line.startswith('-r '):
            found += read_requirements(line[3:].removesuffix('.txt'))
        elif line.strip() and not line.startswith('#'):
            found.append(line.strip())
    return found


def read_version() -> str:
    """Return the version without importing the package (and torch)."""
    text = (ROOT / 'gtpt_mm' / 'version.py').read_text()
    return re.search(r"__version__ = '([^']+)'", text).group(1)


class BuildWithConfigs(build_py):
    """Build the package, and beside its modules ``.mim``.

    An editable install has none: it reads the files of the clone, see
    ``gtpt_mm.config_folder``.
    """

    def run(self) -> None:
        """Copy everything into an empty folder, so that nothing is stale."""
        if self.editable_mode:
            super().run()
            return
        package = Path(self.build_lib, 'gtpt_mm')
        shutil.rmtree(package, ignore_errors=True)
        super().run()
        for pattern in MIM_FILES:
            for path in sorted(ROOT.glob(pattern)):
                target = package / '.mim' / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


setup(
    name='gtpt_mm',
    version=read_version(),
    description='GTPT, HEViTPose, ViTPose and Group Pose as mmpose plugins',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    author='The gtpt_mm authors',
    keywords='human pose estimation, mmpose, vision transformer',
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    packages=find_packages(include=['gtpt_mm', 'gtpt_mm.*']),
    package_data={'': ['py.typed', '*.json', '*.yml']},
    python_requires='>=3.11',
    cmdclass={'build_py': BuildWithConfigs},
    install_requires=read_requirements('runtime'),
    extras_require={
        # Not to be installed as such, see mminstall.txt; gtpt-mm setup and
        # doctor read the versions from here.
        'openmmlab': read_requirements('mminstall'),
        **{name: read_requirements(name) for name in EXTRAS},
        'docs': read_requirements('docs'),
        'tests': read_requirements('tests'),
    },
    entry_points={'console_scripts': ['gtpt-mm = gtpt_mm.cli:main']},
)
