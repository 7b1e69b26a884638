"""The doctor names every breakage and its remedy, and never crashes."""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import subprocess
import sys

import pytest

from gtpt_mm.cli import doctor
from gtpt_mm.cli import doctor_probes as probes
from gtpt_mm.cli import doctor_remedies as remedies

ROWS = [
    'python',
    'setuptools',
    'C compiler',
    'numpy',
    'torch',
    'torchvision',
    'opencv',
    'matplotlib',
    'small packages',
    'mmengine',
    'mmcv',
    'pycocotools',
    'xtcocotools',
    'mmdet',
    'mmpose',
    'mmpose configs',
    'gtpt_mm',
    'checkpoints',
    'drawing',
    'model forward',
    'devices',
    'openmim',
    'editable installs',
    'multi-GPU launch',
    'extras',
    'chumpy',
]

# A fresh process in which a package fails to import.
PRELUDE = """
import importlib.metadata, sys
class Breaker:
    def __init__(self, package, error):
        self.package, self.error = package, error
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == self.package:
            raise self.error
version = importlib.metadata.version
def hide(*names):
    def hidden(name):
        if name in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)
    importlib.metadata.version = hidden
def breaks(package, error):
    sys.meta_path.insert(0, Breaker(package, error))
def absent(package, *distributions):
    hide(*distributions)
    breaks(package, ModuleNotFoundError(f"No module named {package!r}"))
"""
RUN = """
from gtpt_mm.cli import main
sys.exit(main(['doctor', '--json']))
"""


@pytest.fixture(scope='module')
def rows():
    return {row.name: row for row in probes.diagnose()}


def diagnose_with(breakage: str, repo_root) -> tuple[int, dict[str, dict]]:
    """Run the doctor in a process with something broken."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', PRELUDE + breakage + RUN],
        capture_output=True,
        text=True,
        cwd=repo_root,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report['works'] == (done.returncode == 0)
    return done.returncode, {row['name']: row for row in report['rows']}


def test_everything_works_here(rows):
    assert list(rows) == ROWS == list(probes.PROBES)
    stopped = [row for row in rows.values() if row.stops]
    assert not stopped
    for row in rows.values():
        assert row.status in ('works', 'shimmed', 'broken', 'missing')
        assert row.found


def test_shims_are_shown(rows):
    from gtpt_mm import compat

    applied = compat.applied()
    assert (rows['mmcv'].status == 'shimmed') == bool(applied['mmcv_ops'])
    assert (rows['numpy'].status == 'shimmed') == bool(applied['numpy_api'])
    assert rows['checkpoints'].status == 'shimmed'


@pytest.mark.parametrize('as_json', [False, True])
def test_run_prints_and_returns_the_exit_code(
    rows, monkeypatch, capsys, as_json
):
    monkeypatch.setattr(doctor, 'diagnose', lambda: list(rows.values()))
    args = argparse.Namespace(json=as_json)
    assert doctor.run(args) == 0
    shown = capsys.readouterr().out
    assert 'mmpose' in shown
    if as_json:
        assert json.loads(shown)['works'] is True
    else:
        assert 'Everything necessary works.' in shown

    broken = dataclasses.replace(
        rows['mmcv'], status='missing', remedy='pip install it'
    )
    monkeypatch.setattr(
        doctor, 'diagnose', lambda: list({**rows, 'mmcv': broken}.values())
    )
    assert doctor.run(args) == 1
    shown = capsys.readouterr().out
    assert 'pip install it' in shown


def test_optional_parts_do_not_stop(rows):
    row = dataclasses.replace(
        rows['chumpy'], status='missing', remedy='leave it'
    )
    assert not row.stops
    assert 'chumpy (not necessary): leave it' in doctor.format_table([row])


def test_a_crashing_probe_becomes_a_row(monkeypatch):
    def crash(name):
        raise RuntimeError('operator torchvision::nms does not exist')

    monkeypatch.setattr(probes, 'PROBES', {'torchvision': crash})
    (row,) = probes.diagnose()
    assert row.stops and 'torchvision::nms' in row.note
    assert remedies.TORCH in row.remedy


def test_mmcv_uninstalled(repo_root):
    code, rows = diagnose_with('absent("mmcv", "mmcv-lite")', repo_root)
    assert code == 1
    assert rows['mmcv']['status'] == 'missing'
    remedy = rows['mmcv']['remedy']
    assert remedies.MMCV in remedy and '--no-deps' in remedy
    for name in ('mmdet', 'mmpose', 'gtpt_mm', 'model forward'):
        assert rows[name]['status'] == 'broken'
        assert rows[name]['remedy'] == 'Repair mmcv first.', name
    assert rows['torch']['status'] == 'works'
    assert rows['checkpoints']['status'] in ('works', 'broken')


def test_no_torch_at_all(repo_root):
    code, rows = diagnose_with('absent("torch", "torch")', repo_root)
    assert code == 1
    assert rows['torch']['status'] == 'missing'
    assert rows['numpy']['status'] == 'works'
    assert rows['devices']['status'] == 'broken'
    assert list(rows) == ROWS


# ---------------------------------------------------- single probes, faked


@pytest.fixture
def fake(monkeypatch):
    """Return a function that fakes imports and versions."""

    def set_up(errors=(), versions=()):
        errors, versions = dict(errors), dict(versions)
        real_import, real_version = (
            probes._import,
            probes._version,
        )

        def fake_import(name):
            if name in errors:
                return None, errors[name]
            return real_import(name)

        def fake_version(*names):
            for name in names:
                if name in versions:
                    return versions[name]
            return real_version(*names)

        monkeypatch.setattr(probes, '_import', fake_import)
        monkeypatch.setattr(probes, '_version', fake_version)

    return set_up


def test_torch_cannot_be_loaded(fake):
    """A wheel without its CUDA libraries raises OSError, not ImportError."""
    fake({'torch': 'OSError: libcublas.so.13: cannot open shared object'})
    row = probes.probe('torch')
    assert row.status == 'broken' and 'libcublas' in row.note
    assert remedies.TORCH in row.remedy


def test_xtcocotools_was_built_for_numpy_1(fake, monkeypatch):
    """And not replaced, as with GTPT_MM_COMPAT=0."""
    monkeypatch.setattr(probes.compat, 'applied', dict)
    error = (
        'ValueError: numpy.dtype size changed, may indicate binary '
        'incompatibility. Expected 96 from C header, got 88 from PyObject'
    )
    errors = {'xtcocotools.coco': error, 'mmpose.models': error}
    fake(errors, {'xtcocotools': '1.14.3'})
    for name in ('xtcocotools', 'mmpose'):
        row = probes.probe(name)
        assert row.status == 'broken'
        assert '--no-binary xtcocotools' in row.remedy


def test_pycocotools_in_place_of_xtcocotools(fake, monkeypatch):
    words = 'xtcocotools is not installed; mmpose imports it'
    monkeypatch.setattr(
        probes.compat, 'applied', lambda: {'xtcocotools_api': words}
    )
    fake(versions={'xtcocotools': '', 'pycocotools': '2.0.11'})
    row = probes.probe('xtcocotools')
    assert row.status == 'shimmed' and row.found == 'pycocotools 2.0.11'
    assert 'nothing to do' in row.note and not row.remedy
    # Installed, but only its masks are replaced: its own version.
    fake(versions={'xtcocotools': '1.14.3'})
    row = probes.probe('xtcocotools')
    assert row.found == '1.14.3' and row.note == words


def test_xtcocotools_with_compat_off(fake, monkeypatch):
    monkeypatch.setattr(probes.compat, 'applied', dict)
    error = "ModuleNotFoundError: No module named 'xtcocotools'"
    fake({'xtcocotools.coco': error}, {'xtcocotools': ''})
    row = probes.probe('xtcocotools')
    assert row.stops and row.status == 'missing'
    assert 'GTPT_MM_COMPAT=0' in row.remedy


def test_extras(fake, monkeypatch):
    specs = dict(
        app={'gradio': 'gradio>=6'}, onnx={'onnxruntime': 'onnxruntime'}
    )
    monkeypatch.setattr(probes, 'extras', lambda: specs)
    fake(versions={'gradio': '', 'onnxruntime': '1.31.1'})
    row = probes.probe('extras')
    assert row.status == 'works' and row.found == '1 of 2'
    assert row.note == 'onnx; more: pip install "gtpt_mm[app]"'
    fake(versions={'gradio': '3.50.2', 'onnxruntime': ''})
    row = probes.probe('extras')
    assert row.status == 'broken' and not row.needed
    assert '3.50.2' in row.note and 'gtpt_mm[app]' in row.remedy


def test_extras_are_those_of_the_requirements(monkeypatch):
    lines = ['numpy>=1.26', 'gradio>=6; extra == "app"']
    lines += ['mmdet<3.4; extra == "openmmlab"', 'mypy; extra == "tests"']
    monkeypatch.setattr(importlib.metadata, 'requires', lambda name: lines)
    assert remedies.extras() == {'app': {'gradio': 'gradio>=6'}}


def test_mmpose_not_installed(fake):
    error = "ModuleNotFoundError: No module named 'mmpose'"
    fake({'mmpose.models': error}, {'mmpose': ''})
    row = probes.probe('mmpose')
    assert row.status == 'missing' and 'chumpy' in row.remedy
    assert remedies.MMPOSE in row.remedy and '--no-deps' in row.remedy


def test_files_of_a_package_are_gone(fake):
    fake({'mmdet.models': "ModuleNotFoundError: No module named 'mmdet'"})
    row = probes.probe('mmdet')
    assert row.status == 'broken' and 'uninstall -y mmdet, then' in row.remedy


def test_bounds_are_those_of_the_requirements(repo_root, monkeypatch):
    lines = (repo_root / 'requirements/mminstall.txt').read_text().splitlines()
    lines = [
        f'{line}; extra == "openmmlab"' for line in lines if line[0] != '#'
    ]
    lines += ['numpy>=1.26', 'mypy; extra == "tests"']
    monkeypatch.setattr(importlib.metadata, 'requires', lambda name: lines)
    remedies.requirements.cache_clear()
    try:
        assert remedies.install('mmcv-lite', options='--no-deps') == (
            'pip install --no-deps "mmcv-lite>=2.0.1,<2.2"'
        )
        assert remedies.install('numpy', 'mypy') == (
            'pip install "numpy>=1.26" mypy'
        )
    finally:
        remedies.requirements.cache_clear()


def test_setuptools_without_pkg_resources(fake):
    error = "ModuleNotFoundError: No module named 'pkg_resources'"
    fake({'pkg_resources': error}, {'setuptools': '81.0.0'})
    row = probes.probe('setuptools')
    assert (
        row.stops
        and remedies.SETUPTOOLS in row.remedy
        and row.found == '81.0.0'
    )


def test_opencv_without_libgl(fake):
    fake({'cv2': 'ImportError: libGL.so.1: cannot open shared object file'})
    row = probes.probe('opencv')
    assert row.stops and 'gtpt-mm setup' in row.remedy


def test_mmcv_too_new_for_mmdet(monkeypatch):
    import mmcv

    monkeypatch.setattr(mmcv, '__version__', '2.2.0')
    row = probes.probe('mmcv')
    assert row.stops and '2.2.0' in row.note
    assert remedies.MMCV in row.remedy
    message = (
        'AssertionError: MMCV==2.2.0 is used but incompatible. Please '
        'install mmcv>=2.0.0rc4, <2.2.0.'
    )
    assert remedies.MMCV in remedies.remedy_of(message)


def test_both_mmcv_in_one_folder(fake):
    fake(versions={'mmcv': '2.1.0', 'mmcv-lite': '2.1.0'})
    row = probes.probe('mmcv')
    assert row.stops and 'same folder' in row.note
    assert 'pip uninstall -y mmcv mmcv-lite' in row.remedy


def test_mmcv_lite_without_the_shim(fake):
    fake({'mmcv.ops': "ModuleNotFoundError: No module named 'mmcv._ext'"})
    row = probes.probe('mmcv')
    assert row.stops and 'custom_imports' in row.remedy


def test_compiled_mmcv_for_another_torch(fake):
    fake({'mmcv.ops': 'ImportError: /x/_ext.cpython-311.so: undefined symbol'})
    row = probes.probe('mmcv')
    assert row.stops and remedies.MMCV in row.remedy


def test_torchvision_for_another_torch(fake, monkeypatch):
    fake(
        {'torchvision': 'RuntimeError: operator torchvision::nms does not'},
        {'torch': '2.13.0+cpu', 'torchvision': '0.29.1'},
    )
    monkeypatch.setattr(
        importlib.metadata, 'requires', lambda name: ['torch==2.14.1']
    )
    row = probes.probe('torchvision')
    assert row.stops and '2.14.1' in row.note and '2.13.0' in row.note
    assert remedies.TORCH in row.remedy


def test_checkpoints_without_the_shim(monkeypatch):
    import torch

    known = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        row = probes.probe('checkpoints')
    finally:
        torch.serialization.add_safe_globals(known)
    assert row.stops and 'refuses' in row.remedy


def test_drawing_without_the_shim(monkeypatch):
    from mmpose.visualization.opencv_backend_visualizer import (
        OpencvBackendVisualizer,
    )

    def draw_circles(self, center, radius, **kwargs):
        raise TypeError('only 0-dimensional arrays can be converted')

    monkeypatch.setattr(OpencvBackendVisualizer, 'draw_circles', draw_circles)
    row = probes.probe('drawing')
    assert row.stops and 'numpy<2.4' in row.remedy


@pytest.mark.parametrize(
    ('version', 'status'),
    [((3, 10), 'broken'), ((3, 13), 'works'), ((3, 14), 'broken')],
)
def test_python(monkeypatch, version, status):
    monkeypatch.setattr(sys, 'version_info', version)
    assert probes.probe('python').status == status


def test_openmim_with_openxlab(fake):
    fake(versions={'openmim': '0.3.8', 'openxlab': '0.1.0'})
    assert 'openxlab' in probes.probe('openmim').remedy


def test_mmengine_too_new(fake):
    fake(versions={'mmengine': '0.11.0'})
    row = probes.probe('mmengine')
    assert row.stops and '<0.11' in row.remedy


def test_mmpose_configs_not_found(monkeypatch, tmp_path):
    import mmengine.utils

    monkeypatch.setattr(
        mmengine.utils, 'get_installed_path', lambda name: str(tmp_path)
    )
    row = probes.probe('mmpose configs')
    assert row.status == 'broken' and str(tmp_path) in row.note


def test_editable_installs(monkeypatch):
    monkeypatch.setattr(probes, '_is_editable', lambda name: name == 'mmpose')
    row = probes.probe('editable installs')
    assert row.status == 'broken' and 'without -e' in row.remedy
    monkeypatch.setattr(probes, '_is_editable', lambda name: name == 'gtpt_mm')
    assert probes.probe('editable installs').status == 'works'


def test_gpu_that_torch_cannot_use(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(probes.shutil, 'which', lambda name: '/bin/' + name)
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    assert 'driver' in probes.probe('devices').remedy
    monkeypatch.setattr(torch.version, 'cuda', None)
    row = probes.probe('devices')
    assert 'CPUs only' in row.note and not row.needed


def test_c_compiler(monkeypatch):
    monkeypatch.setattr(probes.shutil, 'which', lambda name: None)
    row = probes.probe('C compiler')
    assert row.status == 'missing' and not row.needed
