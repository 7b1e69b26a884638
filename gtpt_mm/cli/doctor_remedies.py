"""Remedies for packages that are missing or broken.

Version bounds are those in the metadata of gtpt_mm.
"""

import contextlib
import functools
import importlib.metadata
import re


@functools.cache
def requirements() -> dict[str, str]:
    """Return what gtpt_mm requires: distribution -> name with bounds.

    Empty where gtpt_mm is not installed.
    """
    found = _requirements()
    return found.get('', {}) | found.get('openmmlab', {})


def extras() -> dict[str, dict[str, str]]:
    """Return what each extra requires: extra -> distribution -> spec."""
    hidden = ('', 'openmmlab', 'tests')
    found = _requirements()
    return {name: found[name] for name in sorted(found) if name not in hidden}


def _requirements() -> dict[str, dict[str, str]]:
    """Return the requirements in the metadata, by extra ('' for none)."""
    found: dict[str, dict[str, str]] = {}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for line in importlib.metadata.requires('gtpt_mm') or ():
            spec, _, marker = line.partition(';')
            extra = re.search(r'extra == .([\w-]+)', marker)
            specs = found.setdefault(extra[1] if extra else '', {})
            specs[re.split(r'[^\w-]', spec)[0]] = spec.strip()
    return found


def install(*names: str, options: str = '') -> str:
    """Return the command that installs distributions within our bounds."""
    specs = [requirements().get(name, name) for name in names]
    quoted = [f'"{spec}"' if set(spec) & set('<>') else spec for spec in specs]
    return ' '.join(['pip install', *options.split(), *quoted])


SETUP = 'gtpt-mm setup'
MMCV = install('mmcv-lite', options='--no-deps')
CLEAN_MMCV = f'pip uninstall -y mmcv mmcv-lite && {MMCV}'
TORCH = install('torch', 'torchvision', options='--force-reinstall')
SETUPTOOLS = install('setuptools')
XTCOCOTOOLS = (
    f'pip install cython wheel && {SETUPTOOLS} && pip install '
    '--no-build-isolation --no-deps --force-reinstall --no-binary xtcocotools '
    'xtcocotools'
)
MMPOSE = install('mmpose', options='--no-deps')
OPENMIM = f'pip uninstall -y openxlab && {install("openmim")}'
UNKNOWN = 'Install it again, or show the message to the authors of gtpt_mm.'
OPENCV = ' '.join(
    f'opencv{contrib}-python{headless}'
    for contrib in ('', '-contrib')
    for headless in ('', '-headless')
)
#: Packages to import: row -> modules, distributions (the first has our
#: bounds), and what to do where it is missing ('' for pip install).
PACKAGES = {
    'setuptools': ('pkg_resources', 'setuptools', ''),
    'numpy': ('numpy', 'numpy', ''),
    'torch': ('torch', 'torch', TORCH),
    'torchvision': ('torchvision', 'torchvision', TORCH),
    'opencv': ('cv2', OPENCV, ''),
    'matplotlib': ('matplotlib', 'matplotlib', ''),
    'mmengine': ('mmengine.runner', 'mmengine', ''),
    'mmcv': (
        'mmcv',
        'mmcv-lite mmcv',
        'mmcv holds layers and image functions that mmpose is built on. The '
        f'variant without a compiler is enough: {SETUP} (or {MMCV})',
    ),
    'pycocotools': ('pycocotools.mask', 'pycocotools', ''),
    'xtcocotools': (
        'xtcocotools.coco xtcocotools.mask',
        'xtcocotools',
        'xtcocotools reads and scores COCO files. gtpt_mm puts pycocotools in '
        'its place, but not with GTPT_MM_COMPAT=0. Or build it for your '
        f'numpy, with a C compiler: {XTCOCOTOOLS}',
    ),
    'mmdet': (
        'mmdet.models',
        'mmdet',
        f'{SETUP} (or {install("mmdet", options="--no-deps")})',
    ),
    # The models first: after they fail, Python keeps partly imported modules,
    # with which the functions import.
    'mmpose': (
        'mmpose.models mmpose.apis',
        'mmpose',
        f'{SETUP} (or {MMPOSE}; without --no-deps pip tries to build chumpy, '
        'which fails and which mmpose does not use)',
    ),
    'openmim': (
        'mim', 'openmim', f'`mim` trains from a config: {OPENMIM}'
    ),
}  # fmt: skip
KNOWN_ERRORS = {  # messages that new users meet -> remedy
    'torchvision::nms does not exist': 'torchvision was built for another '
    f'torch. Install a pair that belongs together: {TORCH}',
    'numpy.dtype size changed|_ARRAY_API|compiled using NumPy': 'A package '
    'was compiled for another numpy, mostly xtcocotools. Build it here: '
    f'{XTCOCOTOOLS}',
    'libGL|libgthread|libxcb': 'opencv needs a graphics library that servers '
    'lack. `gtpt-mm setup` takes the variant without windows (or: apt-get '
    'install libgl1 libglib2.0-0)',
    r'MMCV==\S+ is used but incompatible': 'mmdet accepts mmcv below 2.2 '
    f'only: {CLEAN_MMCV}',
    r"named 'mmcv\._ext'": 'mmcv-lite has no compiled operators; gtpt_mm '
    'supplies them if it is imported before mmpose, and without '
    'GTPT_MM_COMPAT=0. In a config: custom_imports = '
    "dict(imports=['gtpt_mm'], allow_failed_imports=False)",
    r'_ext\S*\.so|undefined symbol': 'A compiled package was built for '
    f'another torch. For mmcv: {CLEAN_MMCV}',
    'pkg_resources': 'mmengine and mim import pkg_resources, which '
    f'setuptools 81 removed: {SETUPTOOLS}',
    "named 'distutils": 'Python >= 3.12 has distutils from setuptools only: '
    f'{SETUPTOOLS}',
    'libcud|libcublas|libnv|CUDA driver': 'The libraries of CUDA that torch '
    f'wants are missing or damaged: {TORCH}',
}


def remedy_of(error: str) -> str:
    """Translate the message of an error."""
    for pattern, remedy in KNOWN_ERRORS.items():
        if re.search(pattern, error):
            return remedy
    missing = missing_module(error)
    for name, (modules, _, _) in PACKAGES.items():
        if missing == re.split(r'\W', modules)[0]:
            return f'Repair {name} first.'
    name = dict(PIL='pillow').get(missing, missing)
    return f'pip install {name}' if name else UNKNOWN


def missing_module(error: str) -> str:
    """Return the top-level module that an error reports as missing."""
    found = re.search(r"No module named '(\w+)|import of (\w+) halted", error)
    return (found[1] or found[2]) if found else ''
