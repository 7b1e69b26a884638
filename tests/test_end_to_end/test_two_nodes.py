"""Two nodes that meet by a rendezvous; one dies, both are started again."""

import json
import os
import socket
import subprocess
import sys

import pytest
from support.runs import ENV
from support.same_run import assert_same_run
from support.small_training import EPOCH_STEPS, write_config


@pytest.fixture(scope='module')
def config(repo_root, tmp_path_factory):
    return write_config(
        repo_root,
        tmp_path_factory.mktemp('nodes'),
        **{
            'custom_imports.imports': ['gtpt_mm', 'support.die_at'],
            'custom_hooks': [dict(type='DieAt')],
        },
    )


@pytest.fixture(scope='module')
def launch(run_script, config, tmp_path_factory):
    """Launch trainings one after the other; return folders and exit codes."""

    def run(*runs: tuple[str, dict], timeout: float = 300):
        folder = tmp_path_factory.mktemp('launched')
        plan, results = folder / 'plan.json', folder / 'results.json'
        words = [str(config), '--auto-scale-lr']
        plan.write_text(
            json.dumps(
                [
                    dict(words=words, work_dir=str(folder / name)) | options
                    for name, options in runs
                ]
            )
        )
        [code], [printed] = run_script(
            'two_nodes.py', plan, results, timeout=timeout
        )
        assert code == 0, printed[-3000:]
        return folder, json.loads(results.read_text())

    return run


def read(folder, name) -> str:
    return ''.join(p.read_text() for p in sorted(folder.glob(f'{name}.*.log')))


def test_a_preempted_node(launch):
    """The launcher of one node gets SIGTERM: both save and end."""
    folder, codes = launch(
        ('whole', {}),
        ('preempted', dict(die_at='1 6 preempted')),
        ('preempted', {}),
    )
    text = read(folder, 'preempted')
    assert codes[0] == codes[2] == [0, 0], text[-3000:]
    assert all(codes[1])
    assert_same_run(folder / 'preempted', folder / 'whole')
    assert 'SIGTERM: stopped in epoch 2 after' in text
    assert (folder / 'preempted' / 'stopped.pth').is_file()
    # 2 processes with batches of 2; the recipe is for 16.
    words = 'batch size of 16 and the current batch size is 4'
    assert text.count(words) == 2  # the first process of each start


@pytest.mark.slow
@pytest.mark.parametrize('how', ['worker', 'node'])
def test_a_death(launch, how):
    """A process dies, or a node with its launcher; the other node ends."""
    folder, codes = launch(
        ('whole', {}),
        ('killed', dict(die_at=f'1 6 {how}')),
        ('killed', {}),
    )
    text = read(folder, 'killed')
    assert codes[0] == codes[2] == [0, 0], text[-3000:]
    assert all(codes[1])
    assert_same_run(folder / 'killed', folder / 'whole')
    assert f'resumed epoch: 1, iter: {EPOCH_STEPS}' in text


@pytest.mark.slow
@pytest.mark.parametrize('script', ['tools/train.py', '-m gtpt_mm train'])
def test_torchrun(config, launch, repo_root, tmp_path, script):
    """By the commands of docs/clusters.md, from another folder."""
    folder, _ = launch(('whole', {}))
    died = run_torchrun(config, repo_root, tmp_path, script, '1 6 preempted')
    assert all(died)
    codes = run_torchrun(config, repo_root, tmp_path, script, '')
    assert codes == [0, 0], read(tmp_path, 'work')[-3000:]
    assert_same_run(tmp_path / 'work', folder / 'whole')


@pytest.mark.slow
def test_torchrun_restarts_by_itself(config, launch, repo_root, tmp_path):
    """A process dies; the launchers start all of them again."""
    folder, _ = launch(('whole', {}))
    codes = run_torchrun(
        config,
        repo_root,
        tmp_path,
        'tools/train.py',
        '1 6 worker',
        '--max-restarts=1',
    )
    text = read(tmp_path, 'work')
    assert codes == [0, 0], text[-3000:]
    assert f'resumed epoch: 1, iter: {EPOCH_STEPS}' in text
    assert_same_run(tmp_path / 'work', folder / 'whole')


def run_torchrun(
    config, repo_root, cwd, script, die_at, *options
) -> list[int]:
    """Run torchrun on both nodes; return their exit codes."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    if script.endswith('.py'):
        script = str(repo_root / script)
    command = [
        *(sys.executable, '-m', 'torch.distributed.run', '--nnodes', '2'),
        *('--nproc-per-node', '1', '--rdzv-backend', 'c10d', *options),
        *('--rdzv-endpoint', f'127.0.0.1:{port}', '--rdzv-id', 'test'),
        *(*script.split(), str(config), '--launcher', 'pytorch'),
        *('--work-dir', str(cwd / 'work'), '--resume', '--auto-scale-lr'),
    ]
    path = os.pathsep.join(map(str, (repo_root, repo_root / 'tests')))
    env = ENV | dict(PYTHONPATH=path, DIE_AT=die_at, GLOO_SOCKET_IFNAME='lo')
    if not die_at:
        del env['DIE_AT']
    nodes = []
    for node in (0, 1):
        with (cwd / f'work.{node}.log').open('a') as log:
            nodes.append(
                subprocess.Popen(
                    command, cwd=cwd, env=env, stdout=log, stderr=log
                )
            )
    try:
        return [node.wait(600) for node in nodes]
    finally:
        for node in nodes:
            node.kill()
