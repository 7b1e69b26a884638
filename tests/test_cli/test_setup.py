"""``gtpt-mm setup`` installs what is missing, and nothing else."""

import shlex
import subprocess
import sys

import pytest

from gtpt_mm.cli import doctor_remedies, main, setup

OURS = {'mmcv-lite': '2.1.0', 'mmdet': '3.3.0', 'mmpose': '1.3.2'}
PIP = [
    *(sys.executable, '-m', 'pip', 'install'),
    *('--no-deps', '--only-binary', ':all:'),
]
DOCTOR = [sys.executable, '-P', '-m', 'gtpt_mm', 'doctor']


@pytest.fixture
def bounds(repo_root) -> dict[str, str]:
    """The lines of mminstall.txt: distribution -> with bounds."""
    lines = (repo_root / 'requirements/mminstall.txt').read_text().splitlines()
    specs = [line for line in lines if not line.startswith('#')]
    return {spec.split('>')[0]: spec for spec in specs}


@pytest.fixture
def machine(monkeypatch, bounds):
    """Return a function that fakes an environment; it returns the calls."""

    def fake(installed, codes=(), cv2_error='', modules=('pip',), uv=None):
        calls, codes = [], list(codes)

        def call(command):
            calls.append(command)
            return codes.pop(0) if codes else 0

        def run(command, **options):
            return subprocess.CompletedProcess(
                command, bool(cv2_error), stderr=cv2_error
            )

        monkeypatch.setattr(setup, '_version', lambda n: installed.get(n, ''))
        monkeypatch.setattr(
            setup.importlib.util,
            'find_spec',
            lambda name: name if name in modules else None,
        )
        monkeypatch.setattr(setup, 'requirements', lambda: bounds)
        monkeypatch.setattr(
            doctor_remedies, '_requirements', lambda: {'openmmlab': bounds}
        )
        monkeypatch.setattr(setup.shutil, 'which', lambda name: uv)
        monkeypatch.setattr(setup.subprocess, 'call', call)
        monkeypatch.setattr(setup.subprocess, 'run', run)
        doctor_remedies.requirements.cache_clear()
        return calls

    yield fake
    monkeypatch.undo()
    doctor_remedies.requirements.cache_clear()


def test_an_empty_environment(machine, bounds, capfd):
    calls = machine({})
    assert main(['setup', '--dry-run']) == 0
    lines = capfd.readouterr().out.splitlines()
    assert calls == []
    assert main(['setup']) == 0
    assert calls == [[*PIP, *bounds.values()], DOCTOR]
    assert [*bounds] == [*OURS]
    assert [shlex.split(line) for line in lines] == calls


def test_what_is_there_stays(machine, capfd):
    """A second run only looks."""
    calls = machine(OURS)
    assert main(['setup']) == 0
    assert calls == [DOCTOR]
    shown = capfd.readouterr().out.splitlines()
    assert shown == [f'{name} {OURS[name]} is there' for name in OURS]


@pytest.mark.parametrize('version', ['2.1.0', '2.2.0'])
def test_compiled_mmcv_is_left_alone(machine, bounds, capfd, version):
    calls = machine({'mmcv': version})
    main(['setup'])
    wanted = [bounds['mmdet'], bounds['mmpose']]
    assert calls == [[*PIP, *wanted], DOCTOR]
    assert f'mmcv {version}: compiled mmcv' in capfd.readouterr().out


def test_a_version_outside_the_bounds_is_replaced(machine, bounds):
    calls = machine({**OURS, 'mmdet': '3.0.0'})
    main(['setup'])
    assert calls[0] == [*PIP, bounds['mmdet']]


def test_the_exit_code_is_that_of_the_doctor(machine):
    machine(OURS, codes=[1])
    assert main(['setup']) == 1


def test_a_failed_install_ends_it(machine, capfd):
    calls = machine({}, codes=[7])
    assert main(['setup']) == 1
    assert len(calls) == 1
    assert 'exit code 7' in capfd.readouterr().err


def test_without_pip(machine, bounds, capfd):
    """As in environments that uv makes."""
    calls = machine({}, modules=(), uv='/opt/uv')
    assert main(['setup']) == 0
    assert calls[0] == [
        *('/opt/uv', 'pip', 'install', '--python', sys.executable),
        *('--no-deps', '--only-binary', ':all:', *bounds.values()),
    ]
    calls = machine({}, modules=())
    assert main(['setup']) == 2
    assert calls == []
    assert '-m ensurepip' in capfd.readouterr().err


def test_not_installed_itself(machine, monkeypatch, capfd):
    machine({})
    monkeypatch.setattr(setup, 'requirements', dict)
    assert main(['setup']) == 2
    assert 'pip install its wheel' in capfd.readouterr().err


def test_opencv_where_libgl_is_missing(machine, capfd):
    error = (
        'Traceback\nImportError: libGL.so.1: cannot open shared object file'
    )
    calls = machine({**OURS, 'opencv-python': '4.14.0.94'}, cv2_error=error)
    assert main(['setup']) == 0
    replace = [*PIP, '--force-reinstall', 'opencv-python-headless==4.14.0.94']
    assert calls == [replace, DOCTOR]
    assert 'libGL.so.1' in capfd.readouterr().out
    other = 'ImportError: numpy.core.multiarray failed to import'
    calls = machine({**OURS, 'opencv-python': '4.14.0.94'}, cv2_error=other)
    assert main(['setup']) == 0
    assert calls == [DOCTOR]
