"""Fixtures that every test may use."""

import os

if 'PYTEST_XDIST_WORKER' in os.environ:
    # Workers share the cores. numpy and torch read this at their import, and
    # so do the processes that tests start.
    os.environ['OMP_NUM_THREADS'] = '1'

import functools
import gc
import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support import parity

import gtpt_mm  # noqa: F401  (compat before anything of mmpose)

from mmengine.config import config as config_module  # isort: skip
from mmengine.registry import init_default_scope  # isort: skip

ROOT = Path(__file__).resolve().parents[1]
PROCESSES = ROOT / 'tests' / 'processes'
#: Scripts that tests start in processes of their own; no test imports them.
collect_ignore_glob = ['processes/*', 'faults/cases/*']


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    np.random.seed(0)


def pytest_collection_finish():
    """Leave what is imported out of every later collection of garbage.

    Each takes a fifth of a second otherwise, and mmengine asks for one
    whenever a dataset is read.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope='session', autouse=True)
def _plain_config_text():
    """Leave out yapf, which takes seconds to lay out a config for the log.

    ``tests/test_compat/test_config_text.py`` has it back.
    """
    lay_out = config_module.FormatCode

    @functools.wraps(lay_out)
    def keep(text, *args, **options):
        return text, True

    config_module.FormatCode = keep
    yield
    config_module.FormatCode = lay_out


def pytest_sessionfinish():
    """Write deviations from recordings, where ``tools/parity.py`` asks."""
    parity.write()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Before all fixtures: a runner of an earlier test left its own scope."""
    init_default_scope('mmpose')


@pytest.fixture(scope='session')
def repo_root() -> Path:
    return ROOT


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """The folder of recorded goldens and real samples, beside the project."""
    path = Path(os.environ.get('GTPT_MM_SHARED', ROOT.parent / 'shared'))
    if not (path / 'goldens').is_dir():
        reason = (
            f'no recorded goldens at {path}: they are not part of the '
            'project; point GTPT_MM_SHARED at them to run this test'
        )
        if os.environ.get('GTPT_MM_REQUIRE_GOLDENS'):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope='session')
def gtpt_goldens(shared_dir):
    """Read ``goldens/gtpt``: ``.npz(name)``, ``.meta(npz)``, ``.rule``."""
    return Goldens(shared_dir / 'goldens' / 'gtpt')


@pytest.fixture(scope='session')
def read_vitpose_golden(shared_dir):
    """Return a function that reads a file of ``goldens/vitpose``."""
    folder = shared_dir / 'goldens' / 'vitpose'

    def read(name: str):
        if name.endswith('.json'):
            return json.loads((folder / name).read_text())
        if name.endswith('.npz'):
            with np.load(folder / name) as arrays:
                return dict(arrays)
        return torch.load(folder / name, weights_only=True)

    return read


@pytest.fixture(scope='session')
def group_pose_goldens(shared_dir):
    """The folder ``goldens/group_pose``."""
    return shared_dir / 'goldens' / 'group_pose'


@pytest.fixture(scope='session')
def forks():
    """A process that has imported everything and runs scripts in forks.

    Never forks of this one: a fork of a process that has used threads may
    wait for ever.
    """
    process = subprocess.Popen(
        [sys.executable, str(PROCESSES / 'fork_scripts.py')],
        cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.stdin.close()
    process.wait()


@pytest.fixture(scope='session')
def run_script(forks, tmp_path_factory):
    """Run a script of ``tests/processes``; return exit codes and outputs.

    Once for each dict of variables of the environment. All are killed after
    ``timeout`` seconds, or if one fails: the others would wait for it.
    """

    def run(script: str, *args, variables=({},), timeout: float = 600):
        folder = tmp_path_factory.mktemp('processes')
        logs = [folder / f'{rank}.log' for rank in range(len(variables))]
        task = dict(
            script=str(PROCESSES / script),
            args=[str(arg) for arg in args],
            processes=list(zip(variables, map(str, logs), strict=True)),
            timeout=timeout,
        )
        print(json.dumps(task), file=forks.stdin, flush=True)
        codes = json.loads(forks.stdout.readline())
        return codes, [log.read_text() for log in logs]

    return run


@pytest.fixture(scope='session')
def run_processes(run_script):
    """Run a script in two processes that meet by gloo; fail if one fails."""

    def run(script: str, *args, timeout: float = 600) -> None:
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        meeting = dict(
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=str(port),
            WORLD_SIZE='2',
            GLOO_SOCKET_IFNAME='lo',
        )
        ranks = [
            {**meeting, 'RANK': str(rank), 'LOCAL_RANK': str(rank)}
            for rank in range(2)
        ]
        codes, outputs = run_script(
            script, *args, variables=ranks, timeout=timeout
        )
        printed = '\n'.join(output[-3000:] for output in outputs)
        assert codes == [0, 0], f'{script}: exit codes {codes}\n{printed}'

    return run


class Goldens:
    """Recorded arrays of one model, and the rule that made their weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        spec = importlib.util.spec_from_file_location(
            'fill_rule', folder / 'fill_rule.py'
        )
        self.rule = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.rule)

    def npz(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / f'{name}.npz') as arrays:
            return {key: arrays[key] for key in arrays.files}

    def json(self, name: str):
        return json.loads((self.folder / f'{name}.json').read_text())

    @staticmethod
    def meta(arrays: dict[str, np.ndarray]) -> dict:
        return json.loads(str(arrays['meta']))

    def official_state_dict(
        self, shapes: dict[str, list], seed: int, rule_name=lambda name: name
    ) -> dict[str, torch.Tensor]:
        """Fill an authors' state dict by the rule; constants left out."""
        out = {}
        for name, (shape, _) in shapes.items():
            leaf = name.rsplit('.', 1)[-1]
            if leaf in ('mask', 'pos_embedding'):
                continue
            out[name] = (
                torch.zeros((), dtype=torch.int64)
                if leaf == 'num_batches_tracked'
                else torch.from_numpy(
                    self.rule.fill(rule_name(name), shape, seed)
                )
            )
        return out
