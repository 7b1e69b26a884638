"""The probes of ``gtpt-mm doctor``, one for each component.

Each probe is a small function that looks at one component and returns a
:class:`Row`. A probe may fail in any way: :func:`_row_of` turns that into a
row too, so that one broken package does not hide the others.
"""

import contextlib
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import re
import shutil
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from gtpt_mm import compat, ops

WORKS, SHIMMED, BROKEN, MISSING = 'works', 'shimmed', 'broken', 'missing'

MMCV_LITE = 'pip install --no-deps "mmcv-lite>=2.0.1,<2.2"'
MMPOSE = 'pip install --no-deps "mmpose>=1.3.0,<1.4"'
MMDET = 'pip install --no-deps "mmdet>=3.2.0,<3.4"'
XTCOCOTOOLS = (
    'pip install cython wheel "setuptools>=77.0.3,<81" && pip install '
    '--no-build-isolation --no-deps --force-reinstall --no-binary xtcocotools '
    'xtcocotools'
)
OPENMIM = 'pip uninstall -y openxlab && pip install "openmim>=0.3.7,<0.3.9"'
TORCH = 'pip install --force-reinstall torch==2.14.1 torchvision==0.29.1'
SETUPTOOLS = 'pip install "setuptools>=77.0.3,<81"'
SMALL_PACKAGES = {  # import name -> name for pip
    'json_tricks': 'json_tricks',
    'matplotlib': 'matplotlib',
    'munkres': 'munkres',
    'PIL': 'pillow',
    'scipy': 'scipy',
    'shapely': 'shapely',
    'six': 'six',
    'terminaltables': 'terminaltables',
    'tqdm': 'tqdm',
}
OWN_ROW = {  # import name -> row
    **{name: 'small packages' for name in SMALL_PACKAGES},
    **{
        name: name
        for name in (
            'numpy',
            'torch',
            'torchvision',
            'mmengine',
            'mmcv',
            'mmdet',
            'mmpose',
            'pycocotools',
            'xtcocotools',
        )
    },
    'cv2': 'opencv',
    'matplotlib': 'matplotlib',
    'pkg_resources': 'setuptools',
}


@dataclasses.dataclass(frozen=True)
class Row:
    """What is known about one component.

    Args:
        name: The component.
        found: Its version, or what else was found.
        status: ``works``, ``shimmed`` (works through ``gtpt_mm.compat``),
            ``broken`` or ``missing``.
        note: What happened, or what is special.
        remedy: What to do about it, for people who never heard of it.
        needed: Whether gtpt_mm cannot work without it.
    """

    name: str
    found: str
    status: str
    note: str = ''
    remedy: str = ''
    needed: bool = True

    @property
    def stops(self) -> bool:
        """Whether this row keeps gtpt_mm from working."""
        return self.needed and self.status in (BROKEN, MISSING)


def _row_of(name: str, probe: Callable[[], Row]) -> Row:
    """Run a probe; a failure of any kind becomes a row."""
    try:
        return probe()
    except Exception as error:
        message = _words(error)
        return Row(name, '?', BROKEN, message, _remedy(message))


def _words(error: BaseException) -> str:
    """Return an error in one line."""
    return ' '.join(f'{type(error).__name__}: {error}'.split())[:400]


def _import(name: str) -> tuple[ModuleType | None, str]:
    """Import a module; return it, or None and the error in one line."""
    try:
        return importlib.import_module(name), ''
    except Exception as error:
        return None, _words(error)


def _version(*distributions: str) -> str:
    """Return the version of the first distribution that is installed."""
    for name in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return ''


def _numbers(version: str, count: int = 2) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r'\d+', version)[:count])


def _shimmed(shim: str) -> str:
    """Return what a shim of ``gtpt_mm.compat`` repaired, or ''."""
    return compat.applied().get(shim, '')


def _remedy(error: str) -> str:
    """Translate the messages that new users meet."""
    known = {
        r'torchvision::nms does not exist': (
            'torchvision was built for another torch. Install a pair that '
            f'belongs together: {TORCH}'
        ),
        r'numpy.dtype size changed|_ARRAY_API|compiled using NumPy': (
            'A package was compiled for another numpy, mostly xtcocotools. '
            f'Build it here: {XTCOCOTOOLS}'
        ),
        r'libGL|libgthread|libxcb': (
            'opencv wants a graphics library that servers lack. Install the '
            'variant without windows: pip uninstall -y opencv-python && pip '
            'install opencv-python-headless (or: apt-get install libgl1 '
            'libglib2.0-0)'
        ),
        r'MMCV==\S+ is used but incompatible': (
            'mmdet accepts mmcv below 2.2 only: pip uninstall -y mmcv '
            f'mmcv-lite && {MMCV_LITE}'
        ),
        r"named 'mmcv\._ext'": (
            'mmcv-lite has no compiled operators; gtpt_mm supplies them if '
            'it is imported before mmpose. In a config: custom_imports = '
            "dict(imports=['gtpt_mm'], allow_failed_imports=False)"
        ),
        r'_ext\S*\.so|undefined symbol': (
            'A compiled package was built for another torch. For mmcv: pip '
            f'uninstall -y mmcv && {MMCV_LITE}'
        ),
        r'pkg_resources': (
            'mmengine and mim import pkg_resources, which setuptools 81 '
            f'removed: {SETUPTOOLS}'
        ),
        r"named 'distutils": (
            f'Python >= 3.12 has distutils from setuptools only: {SETUPTOOLS}'
        ),
        r'libcud|libcublas|libnv|CUDA driver': (
            'The libraries of CUDA that torch wants are missing or damaged: '
            f'{TORCH}'
        ),
    }
    for pattern, remedy in known.items():
        if re.search(pattern, error):
            return remedy
    missing = _missing_module(error)
    if missing in OWN_ROW:
        return f'Repair {OWN_ROW[missing]} first.'
    if missing:
        return f'pip install {SMALL_PACKAGES.get(missing, missing)}'
    return 'Install it anew, or show the message to the authors of gtpt_mm.'


def _missing_module(error: str) -> str:
    """Return the top-level module that an error says is not there."""
    found = re.search(r"No module named '(\w+)|import of (\w+) halted", error)
    return (found[1] or found[2]) if found else ''


def _package(
    name: str,
    module: str,
    *distributions: str,
    remedy: str,
    needed: bool = True,
) -> Row:
    """Look whether a package is there and can be imported."""
    version = _version(*distributions or (name,))
    imported, error = _import(module)
    if imported is not None:
        found = version or getattr(imported, '__version__', '?')
        return Row(name, found, WORKS, needed=needed)
    if _missing_module(error) == module.split('.')[0]:
        status = BROKEN if version else MISSING  # broken: files are gone
        return Row(name, version or '-', status, error, remedy, needed)
    return Row(name, version or '?', BROKEN, error, _remedy(error), needed)


# -------------------------------------------------------------------- probes


def probe_python() -> Row:
    """Look at the version of Python."""
    found, version = platform.python_version(), sys.version_info[:2]
    remedy = (
        'Make an environment with Python 3.12 and install everything there: '
        'python3.12 -m venv .venv'
    )
    if version < (3, 11):
        note = 'gtpt_mm needs Python 3.11 or newer'
        return Row('python', found, BROKEN, note, remedy)
    if version >= (3, 14):
        note = 'mmengine 0.10 calls pkgutil.find_loader, gone in Python 3.14'
        return Row('python', found, BROKEN, note, remedy)
    note = '' if version < (3, 13) else 'tested with 3.11 and 3.12 only'
    return Row('python', found, WORKS, note)


def probe_c_compiler() -> Row:
    """Look for what builds xtcocotools from source."""
    paths = [shutil.which(name) for name in ('cc', 'gcc', 'clang', 'cl')]
    path = next(filter(None, paths), None)
    header = Path(sysconfig.get_path('include')) / 'Python.h'
    note = 'only to build xtcocotools; nothing else is compiled'
    if path and header.is_file():
        return Row('C compiler', path, WORKS, note, needed=False)
    remedy = 'apt-get install gcc python3-dev (or ask who runs the machine)'
    if path:
        note = f'{header} is missing; {note}'
        return Row('C compiler', path, BROKEN, note, remedy, False)
    return Row('C compiler', '-', MISSING, note, remedy, needed=False)


def probe_setuptools() -> Row:
    """Look for pkg_resources, which setuptools 81 removed."""
    version = _version('setuptools')
    imported, error = _import('pkg_resources')
    if imported is not None:
        note = 'has pkg_resources, which mmengine and mim import'
        return Row('setuptools', version or '?', WORKS, note)
    status = BROKEN if version else MISSING
    remedy = f'{_remedy("pkg_resources")}'
    return Row('setuptools', version or '-', status, error, remedy)


def probe_numpy() -> Row:
    """Look at numpy and at what it dropped in 2.4."""
    row = _package('numpy', 'numpy', remedy='pip install "numpy>=1.26"')
    return _with_shim(row, 'numpy_api')


def probe_matplotlib() -> Row:
    """Look at matplotlib and at what it dropped in 3.10."""
    row = _package('matplotlib', 'matplotlib', remedy='pip install matplotlib')
    return _with_shim(row, 'matplotlib_api')


def _with_shim(row: Row, shim: str) -> Row:
    words = _shimmed(shim)
    if row.status == WORKS and words:
        return dataclasses.replace(row, status=SHIMMED, note=words)
    return row


def probe_torch() -> Row:
    """Compute something with torch."""
    row = _package('torch', 'torch', remedy=TORCH)
    if row.status != WORKS:
        remedy = _remedy(row.note) if row.status == BROKEN else row.remedy
        if remedy.startswith('Install it anew'):
            remedy = f'torch cannot be loaded; install it anew: {TORCH}'
        return dataclasses.replace(row, remedy=remedy)
    import torch

    total = torch.ones(3).sum().item()
    if total != 3 or _numbers(torch.__version__) < (2, 1):
        note = f'sum of three ones: {total}; torch >= 2.1 is needed'
        return Row('torch', torch.__version__, BROKEN, note, TORCH)
    if _numbers(torch.__version__) < (2, 6):
        note = 'checkpoints are checked less strictly than by torch >= 2.6'
        return Row('torch', torch.__version__, WORKS, note)
    return Row('torch', torch.__version__, WORKS)


def probe_torchvision() -> Row:
    """Call an operator of torchvision; it must belong to this torch."""
    row = _package('torchvision', 'torchvision', remedy=TORCH)
    wanted = ''
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for line in importlib.metadata.requires('torchvision') or ():
            match = re.match(r'torch\s*\(?==\s*([\d.]+)', line)
            wanted = match[1] if match else wanted
    torch_version = _version('torch').split('+')[0]
    mismatch = (
        f'made for torch {wanted}, but torch {torch_version} is installed'
        if wanted and torch_version and wanted != torch_version
        else ''
    )
    if row.status == WORKS:
        import torch
        import torchvision

        boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2]])
        torchvision.ops.nms(boxes, torch.ones(2), 0.5)
        return dataclasses.replace(row, note=mismatch)
    if row.status == BROKEN and mismatch:
        remedy = _remedy('torchvision::nms does not exist')
        note = f'{mismatch}; {row.note}'
        return dataclasses.replace(row, note=note, remedy=remedy)
    return row


def probe_opencv() -> Row:
    """Import opencv, which wants libGL where it has windows."""
    return _package(
        'opencv',
        'cv2',
        'opencv-python',
        'opencv-python-headless',
        'opencv-contrib-python',
        'opencv-contrib-python-headless',
        remedy='pip install opencv-python',
    )


def probe_small_packages() -> Row:
    """Import the small packages that mmpose and mmdet import."""
    errors = {
        package: error
        for module, package in SMALL_PACKAGES.items()
        if (error := _import(module)[1])
    }
    name = 'small packages'
    if not errors:
        return Row(name, f'{len(SMALL_PACKAGES)} of them', WORKS)
    note = '; '.join(errors.values())
    remedy = f'pip install {" ".join(errors)}'
    return Row(name, f'without {", ".join(errors)}', BROKEN, note, remedy)


def probe_mmengine() -> Row:
    """Look at mmengine; 0.11 finds no config of another package."""
    remedy = 'pip install "mmengine>=0.10.4,<0.11"'
    row = _package('mmengine', 'mmengine.runner', 'mmengine', remedy=remedy)
    if row.status == WORKS and _numbers(row.found) >= (0, 11):
        note = 'gtpt_mm is made for mmengine 0.10'
        return dataclasses.replace(
            row, status=BROKEN, note=note, remedy=remedy
        )
    return row


def probe_mmcv() -> Row:
    """Look which mmcv is there: compiled, lite with our operators, none."""
    full, lite = _version('mmcv'), _version('mmcv-lite')
    found = ' and '.join(
        f'{name} {version}'
        for name, version in (('mmcv', full), ('mmcv-lite', lite))
        if version
    )
    imported, error = _import('mmcv')
    clean = f'pip uninstall -y mmcv mmcv-lite && {MMCV_LITE}'
    if imported is None and _missing_module(error) != 'mmcv':
        return Row('mmcv', found or '?', BROKEN, error, _remedy(error))
    if imported is None and found:
        remedy = f'Its files are gone; install it anew: {clean}'
        return Row('mmcv', found, BROKEN, error, remedy)
    if imported is None:
        remedy = (
            'mmcv holds layers and image functions that mmpose is built on. '
            f'The variant without a compiler is enough: {MMCV_LITE}'
        )
        return Row('mmcv', '-', MISSING, error, remedy)
    found = found or f'mmcv {imported.__version__}'
    version = _numbers(imported.__version__)
    if not (2, 0) <= version < (2, 2):
        note = f'{imported.__version__}: mmdet 3.3 accepts 2.0.1 to 2.1 only'
        return Row('mmcv', found, BROKEN, note, clean)
    if full and lite:
        note = 'both fill the same folder; removing one damages the other'
        return Row('mmcv', found, BROKEN, note, clean)
    operators, error = _import('mmcv.ops')
    if operators is None:
        return Row('mmcv', found, BROKEN, error, _remedy(error))
    import torch

    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2]])
    operators.nms(boxes, torch.ones(2), 0.5)
    words = _shimmed('mmcv_ops')
    if words:
        return Row('mmcv', found, SHIMMED, words)
    return Row('mmcv', found, WORKS, 'compiled operators')


def probe_pycocotools() -> Row:
    """Import pycocotools, which mmdet needs."""
    remedy = 'pip install pycocotools'
    return _package('pycocotools', 'pycocotools.mask', remedy=remedy)


def probe_xtcocotools() -> Row:
    """Import xtcocotools, whose wheels were built for numpy 1."""
    remedy = (
        'xtcocotools reads and scores COCO files; it has to be built here, '
        f'for your numpy: {XTCOCOTOOLS}'
    )
    coco, error = _import('xtcocotools.coco')
    mask, error = _import('xtcocotools.mask') if coco else (None, error)
    version = _version('xtcocotools')
    if mask is not None:
        return Row('xtcocotools', version or '?', WORKS)
    status = BROKEN if version else MISSING
    return Row('xtcocotools', version or '-', status, error, remedy)


def probe_mmdet() -> Row:
    """Import mmdet's models, which mmpose's heads share."""
    return _package('mmdet', 'mmdet.models', 'mmdet', remedy=MMDET)


def probe_mmpose() -> Row:
    """Import mmpose's models and inference functions."""
    remedy = (
        f'{MMPOSE} (without --no-deps pip tries to build chumpy, which fails '
        'and which mmpose does not use)'
    )
    # The models first: after a failure of theirs Python keeps halves of them,
    # with which the functions import.
    rows = [
        _package('mmpose', module, 'mmpose', remedy=remedy)
        for module in ('mmpose.models', 'mmpose.apis')
    ]
    return next((row for row in rows if row.stops), rows[0])


def probe_mmpose_configs() -> Row:
    """Find the configs that ``mmpose::...`` refers to."""
    name = 'mmpose configs'
    utils, error = _import('mmengine.utils')
    if utils is None:
        return Row(name, '-', BROKEN, error, _remedy(error), needed=False)
    folder = Path(utils.get_installed_path('mmpose'), '.mim', 'configs')
    if folder.is_dir():
        return Row(name, str(len(list(folder.iterdir()))), WORKS, str(folder))
    note = f'{folder} does not exist'
    remedy = (
        'A base like mmpose::_base_/default_runtime.py cannot be found. '
        f'Install mmpose from its wheel, not editable: {MMPOSE}'
    )
    return Row(name, '-', BROKEN, note, remedy, needed=False)


def probe_gtpt_mm() -> Row:
    """Register gtpt_mm's modules in mmpose's registries."""
    import gtpt_mm

    compat.install(ops)
    importlib.import_module('mmpose.models')
    gtpt_mm._register()
    shims = [name for name, words in compat.applied().items() if words]
    note = f'repairs applied: {", ".join(shims) or "none"}'
    return Row('gtpt_mm', gtpt_mm.__version__, WORKS, note)


def probe_checkpoints() -> Row:
    """Write a checkpoint as mmengine does, and read it again."""
    import numpy as np
    import torch
    from mmengine.logging import HistoryBuffer
    from mmengine.runner import CheckpointLoader

    checkpoint = dict(
        state_dict=dict(weight=torch.ones(2)),
        meta=dict(epoch=1, sigmas=np.ones(2)),
        message_hub=dict(
            log_scalars=dict(loss=HistoryBuffer([0.5], [1])),
            runtime_info=dict(best_score=np.float64(0.5)),
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'epoch_1.pth')
        torch.save(checkpoint, path)
        try:
            loaded = CheckpointLoader.load_checkpoint(path)
        except Exception as error:
            remedy = (
                'torch refuses what mmengine writes into checkpoints. Import '
                'gtpt_mm first (custom_imports in the config): it declares '
                'the harmless types safe'
            )
            return Row('checkpoints', '-', BROKEN, _words(error), remedy)
    loss = loaded['message_hub']['log_scalars']['loss'].mean()
    status = SHIMMED if _shimmed('torch_api') else WORKS
    return Row('checkpoints', f'loss {loss:.1f} read', status, 'save and load')


def probe_drawing() -> Row:
    """Draw a keypoint with mmpose's opencv visualizer."""
    import numpy as np
    from mmpose.visualization import PoseLocalVisualizer

    visualizer = PoseLocalVisualizer(
        name=f'doctor{time.time_ns()}', backend='opencv', alpha=1.0
    )
    visualizer.set_image(np.zeros((16, 16, 3), np.uint8))
    try:
        visualizer.draw_circles(
            np.array([8, 8]), radius=np.array([2]), face_colors=(255, 0, 0)
        )
    except TypeError as error:
        note = f'{_words(error)} (numpy >= 2.4)'
        remedy = 'Import gtpt_mm before mmpose, or: pip install "numpy<2.4"'
        return Row('drawing', '-', BROKEN, note, remedy)
    drawn = int((visualizer.get_image() > 0).sum())
    status = SHIMMED if _shimmed('numpy_api') else WORKS
    return Row('drawing', f'{drawn} pixels', status)


def probe_devices() -> Row:
    """List the processors that torch can use."""
    import torch

    threads = f'{torch.get_num_threads()} of {os.cpu_count()} CPU threads'
    name = 'devices'
    if torch.cuda.is_available():
        gpus = [
            torch.cuda.get_device_name(index)
            for index in range(torch.cuda.device_count())
        ]
        note = f'{", ".join(gpus)}; {threads}'
        return Row(name, f'{len(gpus)} CUDA', WORKS, note)
    if not shutil.which('nvidia-smi'):
        note = f'{threads}; no NVIDIA GPU found'
        return Row(name, 'CPU', WORKS, note, needed=False)
    if torch.version.cuda is None:
        note = f'{threads}; there is a GPU, but this torch is for CPUs only'
        remedy = f'Install a torch with CUDA: {TORCH}'
    else:
        note = (
            f'{threads}; there is a GPU, but torch (CUDA '
            f'{torch.version.cuda}) cannot use it'
        )
        remedy = (
            'Compare the CUDA version that `nvidia-smi` prints: the driver '
            'must be as new as the CUDA of torch. Update the driver, or '
            'install a torch for an older CUDA (pytorch.org/get-started)'
        )
    return Row(name, 'CPU', BROKEN, note, remedy, needed=False)


def probe_forward() -> Row:
    """Run a small model once on every kind of device."""
    import torch

    devices = ['cpu', *(['cuda'] if torch.cuda.is_available() else [])]
    notes = []
    for device in devices:
        start = time.perf_counter()
        shape = tuple(smoke_forward(device).shape)
        milliseconds = (time.perf_counter() - start) * 1000
        notes.append(f'{device}: output {shape} in {milliseconds:.0f} ms')
    return Row('model forward', ', '.join(devices), WORKS, '; '.join(notes))


def smoke_forward(device: str):
    """Run a small GTPT and return its logits over x bins, (1, 17, 128)."""
    import torch
    from mmpose.registry import MODELS

    codec = dict(type='UnroundedSimCCLabel', input_size=(64, 64))
    config = dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(type='PoseDataPreprocessor'),
        backbone=dict(
            type='GTPT',
            arch=dict(embed_dims=32, stem_channels=16),
            img_size=(64, 64),
            patch_size=(4, 4),
            keep_rates=(1.0, 0.7, 0.5, 0.3),
        ),
        head=dict(
            type='GTPTHead', in_channels=32, out_channels=17, decoder=codec
        ),
    )
    with MODELS.switch_scope_and_registry('mmpose'):
        model = MODELS.build(config).to(device).eval()
    with torch.no_grad():
        return model(torch.zeros(1, 3, 64, 64, device=device), None)[0]


def probe_openmim() -> Row:
    """Look at mim; 0.3.9 pulls openxlab, which pins half the environment."""
    row = _package(
        'openmim',
        'mim',
        remedy=f'The `mim` command trains from a config: {OPENMIM}',
        needed=False,
    )
    pins = _version('openxlab')
    if pins or _numbers(row.found, 3) >= (0, 3, 9):
        note = (
            f'openxlab {pins or "(with openmim 0.3.9)"} pins old versions of '
            'setuptools, requests, rich and tqdm'
        )
        return Row('openmim', row.found, BROKEN, note, OPENMIM, False)
    return row


def probe_editable_installs() -> Row:
    """Look for editable installs, in which mim finds no folder."""
    editable = [
        name
        for name in ('mmengine', 'mmcv', 'mmdet', 'mmpose', 'gtpt_mm')
        if _is_editable(name)
    ]
    name, found = 'editable installs', ', '.join(editable) or 'none'
    if set(editable) - {'gtpt_mm'}:
        note = 'mim looks for a folder in site-packages and finds none'
        remedy = 'Install these without -e: pip install --no-deps .'
        return Row(name, found, BROKEN, note, remedy, needed=False)
    note = '`mim train mmpose CONFIG` works' if editable else ''
    return Row(name, found, WORKS, note, needed=False)


def _is_editable(distribution: str) -> bool:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found = importlib.metadata.distribution(distribution)
        origin = json.loads(found.read_text('direct_url.json') or '{}')
        return bool(origin.get('dir_info', {}).get('editable'))
    return False


def probe_launcher() -> Row:
    """Look for the module that ``mim --launcher pytorch`` starts."""
    name = 'multi-GPU launch'
    if importlib.util.find_spec('torch.distributed.launch'):
        note = 'deprecated by torch, which prefers torchrun'
        return Row(name, 'launch', WORKS, note, needed=False)
    note = 'this torch has no torch.distributed.launch, which mim starts'
    remedy = 'Start training on several GPUs with torchrun'
    return Row(name, '-', MISSING, note, remedy, needed=False)


def probe_chumpy() -> Row:
    """Look for chumpy, which mmpose asks for and never imports."""
    version = _version('chumpy')
    note = 'mmpose asks for it and never imports it'
    if version:
        return Row('chumpy', version, WORKS, note, needed=False)
    return Row(
        'chumpy',
        '-',
        MISSING,
        f'{note}; only `pip check` complains',
        needed=False,
    )


PROBES = {
    'python': probe_python,
    'setuptools': probe_setuptools,
    'C compiler': probe_c_compiler,
    'numpy': probe_numpy,
    'torch': probe_torch,
    'torchvision': probe_torchvision,
    'opencv': probe_opencv,
    'matplotlib': probe_matplotlib,
    'small packages': probe_small_packages,
    'mmengine': probe_mmengine,
    'mmcv': probe_mmcv,
    'pycocotools': probe_pycocotools,
    'xtcocotools': probe_xtcocotools,
    'mmdet': probe_mmdet,
    'mmpose': probe_mmpose,
    'mmpose configs': probe_mmpose_configs,
    'gtpt_mm': probe_gtpt_mm,
    'checkpoints': probe_checkpoints,
    'drawing': probe_drawing,
    'model forward': probe_forward,
    'devices': probe_devices,
    'openmim': probe_openmim,
    'editable installs': probe_editable_installs,
    'multi-GPU launch': probe_launcher,
    'chumpy': probe_chumpy,
}


def diagnose() -> list[Row]:
    """Probe everything, causes before effects."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        # Rows below report what goes wrong here, each in its own words.
        with contextlib.suppress(Exception):
            compat.install(ops)
        return [_row_of(name, probe) for name, probe in PROBES.items()]
