"""install(): once, in order, hiding nothing."""

import os
import subprocess
import sys

from gtpt_mm import compat, ops


def run(code: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', **env},
    )


def test_second_install_does_nothing():
    before = compat.applied()
    assert list(before) == [
        n for names in compat.SHIMS.values() for n in names
    ]
    functions = [
        'mmengine.runner.CheckpointLoader.load_checkpoint',
        'mmpose.visualization.PoseLocalVisualizer.draw_circles',
    ]
    from pkgutil import resolve_name

    found = [resolve_name(name) for name in functions]
    compat.install(ops)
    assert compat.applied() == before
    assert found == [resolve_name(name) for name in functions]


def test_applied_is_a_copy():
    compat.applied()['mmcv_ops'] = 'changed'
    assert compat.applied()['mmcv_ops'] != 'changed'


def test_mmpose_keeps_its_registered_names():
    """No class of mmpose is replaced in its registry by one of ours."""
    import mmpose.models
    from mmpose.registry import MODELS

    for name, kind in MODELS.module_dict.items():
        if kind.__module__.startswith('gtpt_mm.'):
            assert not hasattr(mmpose.models, name), name


def test_stock_packages_import():
    done = run('import gtpt_mm, mmpose.apis, mmdet.apis; print("imported")')
    assert done.stdout.strip() == 'imported', done.stderr
