"""Start trainings on two "nodes" of one process each, as torchrun does.

Each node is a fork that runs torch's elastic agent, as torchrun does after it
has read its arguments; the agents meet on the loopback and fork their worker,
which runs ``gtpt-mm train``. Nothing is imported a second time.
"""

import gc
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import config as config_module
from mmengine.runner import runner as runner_module
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import gtpt_mm  # noqa: F401  (compat before anything of mmpose)
from gtpt_mm.cli import main as gtpt_mm_main


def work(*words: str) -> None:
    """Be a worker."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # as a new program has them
    # Seconds, for the log alone: the machine, and the layout of the config.
    runner_module.collect_env = dict
    config_module.FormatCode = lambda text, **_: (text, True)
    gtpt_mm_main(['train', *words, '--launcher', 'pytorch'])


def serve(port: int, words: list[str]) -> None:
    """Be a node."""
    config = LaunchConfig(
        min_nodes=2,
        max_nodes=2,
        nproc_per_node=1,
        run_id='test',
        rdzv_backend='c10d',
        rdzv_endpoint=f'127.0.0.1:{port}',
        start_method='fork',
        max_restarts=0,  # a fork of a fork that has threads may hang
        monitor_interval=0.1,
    )
    elastic_launch(config, work)(*words)


def start(log: Path, *args) -> int:
    """Start a node in a process of its own; return its id."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        with log.open('a') as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        serve(*args)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def launch(words, work_dir, die_at='') -> list[int]:
    """Start both nodes; return their exit codes."""
    os.environ.pop('DIE_AT', None)
    if die_at:
        os.environ['DIE_AT'] = die_at
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    words = [*words, '--work-dir', work_dir, '--resume']
    logs = [Path(f'{work_dir}.{node}.log') for node in (0, 1)]
    pids = [start(log, port, words) for log in logs]
    return [os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in pids]


if __name__ == '__main__':
    gc.freeze()
    os.environ['GLOO_SOCKET_IFNAME'] = 'lo'
    begin = time.monotonic()
    codes = []
    for options in json.loads(Path(sys.argv[1]).read_text()):
        codes.append(launch(**options))
        print(options, codes[-1], f'{time.monotonic() - begin:.1f} s')
    Path(sys.argv[2]).write_text(json.dumps(codes))
