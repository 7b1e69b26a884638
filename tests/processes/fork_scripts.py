"""Import everything once; then run scripts in forks, as asked on stdin.

A line of stdin is a dict: script, args, timeout, and variables and the file of
the output for each process. The answer is a line with their exit codes. This
process computes nothing itself, so that forks are safe.
"""

import gc
import json
import os
import runpy
import signal
import sys
import time
import traceback

os.environ['CUDA_VISIBLE_DEVICES'] = '-1'

import mmengine.runner  # noqa: F401

import gtpt_mm  # noqa: F401  (compat before anything of mmpose)

import mmpose.registry  # noqa: F401  isort: skip


def start(script: str, args: list, variables: dict, log: str) -> int:
    """Run a script as ``__main__`` in a fork; return its process id."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        file = os.open(log, os.O_WRONLY | os.O_CREAT)
        for target, source in enumerate((null, file, file)):
            os.dup2(source, target)
        os.environ.update(variables)
        sys.argv = [script, *args]
        runpy.run_path(script, run_name='__main__')
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else bool(end.code)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # without what the parent registered to be done


def wait(pids: list[int], timeout: float) -> list[int | None]:
    """Return exit codes; if one fails, the others would wait for it."""
    codes: dict[int, int | None] = dict.fromkeys(pids)
    end = time.monotonic() + timeout
    while None in codes.values():
        for pid in pids:
            if codes[pid] is None:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    codes[pid] = os.waitstatus_to_exitcode(status)
        if any(codes.values()) or time.monotonic() > end:
            break
        time.sleep(0.05)
    for pid in pids:
        if codes[pid] is None:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return [codes[pid] for pid in pids]


if __name__ == '__main__':
    # mmengine collects garbage for each dataset: not in what was imported.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        task = json.loads(line)
        pids = [
            start(task['script'], task['args'], variables, log)
            for variables, log in task['processes']
        ]
        print(json.dumps(wait(pids, task['timeout'])), flush=True)
