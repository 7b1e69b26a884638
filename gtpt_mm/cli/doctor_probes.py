"""The probes of ``gtpt-mm doctor``, one for each component.

A probe looks at one component and returns what it found and a note, or raises
:class:`Fault`. It may also fail in any other way: :func:`probe` turns
everything into a :class:`Row`, so one broken package does not hide the others.
"""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
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
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import gtpt_mm
from gtpt_mm import compat

from .doctor_remedies import (
    CLEAN_MMCV,
    MMPOSE,
    OPENMIM,
    PACKAGES,
    TORCH,
    UNKNOWN,
    extras,
    install,
    missing_module,
    remedy_of,
    requirements,
)

if TYPE_CHECKING:
    from torch import Tensor

WORKS, SHIMMED, BROKEN, MISSING = 'works', 'shimmed', 'broken', 'missing'


@dataclass(frozen=True)
class Row:
    """Findings about one component.

    Args:
        name: The component.
        found: Its version, or what else was found.
        status: ``works``, ``shimmed`` (works through ``gtpt_mm.compat``),
            ``broken`` or ``missing``.
        note: What happened, or anything special.
        remedy: What to do about it, for people who do not know the component.
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


@dataclass(eq=False)
class Fault(Exception):
    """A component does not work, and the probe knows more about it."""

    note: str
    remedy: str = ''
    found: str = '-'
    status: str = BROKEN


def probe(name: str) -> Row:
    """Run the probe of a component; a failure of any kind becomes a row."""
    needed = name not in OPTIONAL
    try:
        found, note = PROBES[name](name)
    except Fault as fault:
        rest = fault.note, fault.remedy, needed
        return Row(name, fault.found, fault.status, *rest)
    except Exception as error:
        words = _words(error)
        return Row(name, '?', BROKEN, words, remedy_of(words), needed)
    words = compat.applied().get(SHIMS.get(name, ''), '')
    status = SHIMMED if words else WORKS
    return Row(name, found, status, note or words, needed=needed)


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


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r'\d+', version)[:3])


def fits(version: str, distribution: str) -> bool:
    """Return whether a version lies within our bounds."""
    return within(version, requirements().get(distribution, ''))


def within(version: str, spec: str) -> bool:
    """Return whether a version lies within the bounds of a requirement."""
    below = re.search(r'<([\d.]+)', spec)
    least = re.search(r'>=([\d.]+)', spec)
    return (not below or _numbers(version) < _numbers(below[1])) and (
        not least or _numbers(version) >= _numbers(least[1])
    )


def probe_package(name: str) -> tuple[str, str]:
    """Import a package of the table and compare its version."""
    modules, distributions, remedy = PACKAGES[name]
    first, *others = distributions.split()
    remedy = remedy or install(first)
    version = _version(first, *others)
    for module in modules.split():
        imported, error = _import(module)
        if imported is None:
            if missing_module(error) != module.split('.')[0]:
                known = remedy_of(error)
                known = f'{name}: {remedy}' if known == UNKNOWN else known
                raise Fault(error, known, version or '?')
            if not version:
                raise Fault(error, remedy, status=MISSING)
            clean = f'Its files are gone: pip uninstall -y {distributions}'
            raise Fault(error, f'{clean}, then {remedy}', version)
        version = version or getattr(imported, '__version__', '?')
    if not fits(version, first):
        note = f'gtpt_mm needs {requirements()[first]}'
        raise Fault(note, remedy, version)
    return version, ''


def probe_python(name: str) -> tuple[str, str]:
    """Look at the version of Python."""
    found, version = platform.python_version(), sys.version_info[:2]
    remedy = (
        'Make an environment with Python 3.13 and install everything there: '
        'python3.13 -m venv .venv'
    )
    if version < (3, 11):
        raise Fault('gtpt_mm needs Python 3.11 or newer', remedy, found)
    if version >= (3, 14):
        note = 'mmengine 0.10 calls pkgutil.find_loader, gone in Python 3.14'
        raise Fault(note, remedy, found)
    return found, ''


def probe_c_compiler(name: str) -> tuple[str, str]:
    """Look for the compiler that builds xtcocotools from source."""
    paths = [shutil.which(name) for name in ('cc', 'gcc', 'clang', 'cl')]
    path = next(filter(None, paths), '')
    header = Path(sysconfig.get_path('include')) / 'Python.h'
    note = 'only to build xtcocotools, for which pycocotools serves as well'
    if not path:
        raise Fault(note, status=MISSING)
    if not header.is_file():
        raise Fault(f'{header} is missing; {note}', found=path)
    return path, note


def probe_xtcocotools(name: str) -> tuple[str, str]:
    """Look for xtcocotools, or for pycocotools under its names."""
    if _version(name) or not compat.applied().get(SHIMS[name]):
        return probe_package(name)
    if error := _import('xtcocotools.cocoeval')[1]:
        raise Fault(error, PACKAGES[name][2])
    note = 'serves in place of xtcocotools; nothing to do'
    return f'pycocotools {_version("pycocotools")}', note


def probe_torch(name: str) -> tuple[str, str]:
    """Compute something with torch."""
    version, _ = probe_package(name)
    import torch

    if (total := torch.ones(3).sum().item()) != 3:
        raise Fault(f'sum of three ones: {total}', TORCH, version)
    strict = _numbers(torch.__version__) >= (2, 6)
    return version, '' if strict else 'torch < 2.6 hardly checks checkpoints'


def probe_torchvision(name: str) -> tuple[str, str]:
    """Call an operator of torchvision; it must belong to this torch."""
    lines, note = [], ''
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        lines = importlib.metadata.requires(name) or []
    made_for = re.search(r'^torch\s*\(?==\s*([\d.]+)', '\n'.join(lines), re.M)
    torch = _version('torch').split('+')[0]
    if made_for and torch and made_for[1] != torch:
        note = f'made for torch {made_for[1]}, but {torch} is here'
    try:
        version, _ = probe_package(name)
    except Fault as fault:
        if note and fault.status == BROKEN:
            fault.note = f'{note}; {fault.note}'
            fault.remedy = remedy_of('torchvision::nms does not exist')
        raise
    _call_nms('torchvision.ops')
    return version, note


def _call_nms(module: str) -> None:
    """Let an operator choose one of two equal boxes."""
    import torch

    boxes = torch.tensor([[0.0, 0, 2, 2]] * 2)
    importlib.import_module(module).nms(boxes, torch.ones(2), 0.5)


def probe_small_packages(name: str) -> tuple[str, str]:
    """Import the required packages that have no row of their own."""
    rows = ' '.join(names for _, names, _ in PACKAGES.values()).split()
    small = [name for name in requirements() if name not in rows]
    modules = {name: dict(pillow='PIL').get(name, name) for name in small}
    errors = {
        name: error
        for name, module in modules.items()
        if (error := _import(module)[1])
    }
    if errors:
        remedy = f'pip install {" ".join(errors)}'
        found = f'without {", ".join(errors)}'
        raise Fault('; '.join(errors.values()), remedy, found)
    return f'{len(small)} of them', ''


def probe_mmcv(name: str) -> tuple[str, str]:
    """Find the installed mmcv: compiled, lite with our operators, none."""
    names = ('mmcv', 'mmcv-lite')
    versions = [f'{n} {_version(n)}' for n in names if _version(n)]
    found = ' and '.join(versions) or 'mmcv'
    if len(versions) > 1:
        note = 'both fill the same folder; removing one damages the other'
        raise Fault(note, CLEAN_MMCV, found)
    probe_package(name)
    version = importlib.import_module('mmcv').__version__
    if not fits(version, 'mmcv-lite'):
        note = f'{version}: gtpt_mm needs {requirements()["mmcv-lite"]}'
        raise Fault(note, CLEAN_MMCV, found)
    if error := _import('mmcv.ops')[1]:
        raise Fault(error, remedy_of(error), found)
    _call_nms('mmcv.ops')
    is_compiled = not compat.applied().get('mmcv_ops')
    return found, 'compiled operators' if is_compiled else ''


def probe_mmpose_configs(name: str) -> tuple[str, str]:
    """Find the configs that ``mmpose::...`` refers to."""
    from mmengine.utils import get_installed_path

    folder = Path(get_installed_path('mmpose'), '.mim', 'configs')
    if not folder.is_dir():
        raise Fault(
            f'{folder} does not exist',
            'A base like mmpose::_base_/default_runtime.py cannot be found. '
            f'Install mmpose from its wheel, not editable: {MMPOSE}',
        )
    return str(len(list(folder.iterdir()))), str(folder)


def probe_gtpt_mm(name: str) -> tuple[str, str]:
    """Look whether gtpt_mm has registered its modules in mmpose."""
    if gtpt_mm.import_error is not None:
        raise gtpt_mm.import_error.__cause__ or gtpt_mm.import_error
    shims = [name for name, words in compat.applied().items() if words]
    repairs = f'repairs applied: {", ".join(shims) or "none"}'
    return gtpt_mm.__version__, compat.left_out() or repairs


def probe_checkpoints(name: str) -> tuple[str, str]:
    """Write a checkpoint as mmengine does, and read it again."""
    import numpy as np
    import torch
    from mmengine.logging import HistoryBuffer
    from mmengine.runner import CheckpointLoader

    checkpoint = dict(
        state_dict=dict(weight=torch.ones(2)),
        meta=dict(epoch=1, sigmas=np.ones(2), best_score=np.float64(0.5)),
        loss=HistoryBuffer([0.5], [1]),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'epoch_1.pth')
        torch.save(checkpoint, path)
        try:
            loaded = CheckpointLoader.load_checkpoint(path)
        except Exception as error:
            raise Fault(
                _words(error),
                'torch refuses what mmengine writes into checkpoints. Import '
                'gtpt_mm first (custom_imports in the config): it declares '
                'the harmless types safe',
            ) from error
    return f'loss {loaded["loss"].mean():.1f} read', 'save and load'


def probe_drawing(name: str) -> tuple[str, str]:
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
        remedy = 'Import gtpt_mm before mmpose, or: pip install "numpy<2.4"'
        raise Fault(f'{_words(error)} (numpy >= 2.4)', remedy) from error
    return f'{int((visualizer.get_image() > 0).sum())} pixels', ''


def probe_forward(name: str) -> tuple[str, str]:
    """Run a small model once on every kind of device."""
    import torch

    devices = ['cpu', *(['cuda'] if torch.cuda.is_available() else [])]
    notes = []
    for device in devices:
        start = time.perf_counter()
        shape = tuple(smoke_forward(device).shape)
        milliseconds = (time.perf_counter() - start) * 1000
        notes.append(f'{device}: output {shape} in {milliseconds:.0f} ms')
    return ', '.join(devices), '; '.join(notes)


def smoke_forward(device: str) -> 'Tensor':
    """Run a small GTPT and return its logits over x bins, (1, 17, 128)."""
    import torch
    from mmpose.registry import MODELS

    size = (64, 64)
    arch = dict(embed_dims=32, stem_channels=16)
    codec = dict(type='UnroundedSimCCLabel', input_size=size)
    config = dict(
        type='TopdownPoseEstimator',
        backbone=dict(type='GTPT', arch=arch, img_size=size, patch_size=(4, 4),
                      keep_rates=(1.0, 0.7, 0.5, 0.3)),
        head=dict(type='GTPTHead', in_channels=32, out_channels=17,
                  decoder=codec),
    )  # fmt: skip
    with MODELS.switch_scope_and_registry('mmpose'):
        model = MODELS.build(config).to(device).eval()
    with torch.no_grad():
        return model(torch.zeros(1, 3, *size, device=device), None)[0]


def probe_devices(name: str) -> tuple[str, str]:
    """List the processors that torch can use."""
    import torch

    threads = f'{torch.get_num_threads()} of {os.cpu_count()} CPU threads'
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        gpus = [torch.cuda.get_device_name(index) for index in range(count)]
        return f'{count} CUDA', f'{", ".join(gpus)}; {threads}'
    if not shutil.which('nvidia-smi'):
        return 'CPU', f'{threads}; no NVIDIA GPU found'
    cuda = torch.version.cuda
    problem = f'torch (CUDA {cuda}) cannot use it'
    remedy = (
        'Compare the CUDA version that `nvidia-smi` prints: the driver must '
        'be as new as the CUDA of torch. Update the driver, or install a '
        'torch for an older CUDA (pytorch.org/get-started)'
    )
    if cuda is None:
        problem = 'this torch is for CPUs only'
        remedy = f'Install a torch with CUDA: {TORCH}'
    raise Fault(f'{threads}; there is a GPU, but {problem}', remedy, 'CPU')


def probe_openmim(name: str) -> tuple[str, str]:
    """Look at mim; 0.3.9 pulls openxlab, which pins half the environment."""
    if pins := _version('openxlab'):
        note = f'openxlab {pins} pins old setuptools, requests, rich and tqdm'
        raise Fault(note, OPENMIM, _version('openmim'))
    return probe_package(name)


def probe_editable_installs(name: str) -> tuple[str, str]:
    """Look for editable installs, in which mim finds no folder."""
    names = ('mmengine', 'mmcv', 'mmdet', 'mmpose', 'gtpt_mm')
    editable = [name for name in names if _is_editable(name)]
    found = ', '.join(editable) or 'none'
    if set(editable) - {'gtpt_mm'}:
        note = 'mim looks for a folder in site-packages and finds none'
        remedy = 'Install these without -e: pip install --no-deps .'
        raise Fault(note, remedy, found)
    return found, '`mim train mmpose CONFIG` works' if editable else ''


def _is_editable(distribution: str) -> bool:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found = importlib.metadata.distribution(distribution)
        origin = found.read_text('direct_url.json') or ''
        return bool(re.search(r'"editable": *true', origin))
    return False


def probe_launcher(name: str) -> tuple[str, str]:
    """Look for the module that ``mim --launcher pytorch`` starts."""
    if importlib.util.find_spec('torch.distributed.launch'):
        return 'launch', 'deprecated by torch, which prefers torchrun'
    note = 'this torch has no torch.distributed.launch, which mim starts'
    remedy = 'Start training on several GPUs with torchrun'
    raise Fault(note, remedy, status=MISSING)


def probe_extras(name: str) -> tuple[str, str]:
    """Look which extras of gtpt_mm are complete."""
    complete, absent = [], []
    for extra, specs in extras().items():
        versions = [_version(spec) for spec in specs]
        if not all(versions):
            absent.append(extra)
            continue
        complete.append(extra)
        for distribution, version in zip(specs, versions, strict=True):
            if not within(version, specs[distribution]):
                note = f'{extra} needs {specs[distribution]}, not {version}'
                raise Fault(note, f'pip install "gtpt_mm[{extra}]"', version)
    notes = [', '.join(complete)] if complete else []
    if absent:
        notes.append(f'more: pip install "gtpt_mm[{",".join(absent)}]"')
    return f'{len(complete)} of {len(extras())}', '; '.join(notes)


def probe_chumpy(name: str) -> tuple[str, str]:
    """Look for chumpy, which mmpose asks for and never imports."""
    version, note = _version('chumpy'), 'mmpose never imports it'
    if not version:
        raise Fault(f'{note}; only `pip check` complains', status=MISSING)
    return version, note


OPTIONAL = (
    'C compiler', 'mmpose configs', 'devices', 'openmim', 'editable installs',
    'multi-GPU launch', 'extras', 'chumpy',
)  # fmt: skip
SHIMS = {  # row -> shim of gtpt_mm.compat that it may need
    'numpy': 'numpy_api',
    'matplotlib': 'matplotlib_api',
    'mmcv': 'mmcv_ops',
    'xtcocotools': 'xtcocotools_api',
    'checkpoints': 'torch_api',
    'drawing': 'numpy_api',
}
PROBES: dict[str, Callable[[str], tuple[str, str]]] = {
    'python': probe_python,  # causes before effects
    'setuptools': probe_package,
    'C compiler': probe_c_compiler,
    'numpy': probe_package,
    'torch': probe_torch,
    'torchvision': probe_torchvision,
    'opencv': probe_package,
    'matplotlib': probe_package,
    'small packages': probe_small_packages,
    'mmengine': probe_package,
    'mmcv': probe_mmcv,
    'pycocotools': probe_package,
    'xtcocotools': probe_xtcocotools,
    'mmdet': probe_package,
    'mmpose': probe_package,
    'mmpose configs': probe_mmpose_configs,
    'gtpt_mm': probe_gtpt_mm,
    'checkpoints': probe_checkpoints,
    'drawing': probe_drawing,
    'model forward': probe_forward,
    'devices': probe_devices,
    'openmim': probe_openmim,
    'editable installs': probe_editable_installs,
    'multi-GPU launch': probe_launcher,
    'extras': probe_extras,
    'chumpy': probe_chumpy,
}


def diagnose() -> list[Row]:
    """Probe everything."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        return [probe(name) for name in PROBES]
