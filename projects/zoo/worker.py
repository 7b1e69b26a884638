"""A process that tries configs, one after another.

Reads one line of JSON for each config, ``{"name": ..., "stages": [...]}``, and
writes ``{"ready": true}`` once, a line for each stage, and ``{"done": true,
"memory": bytes}`` at the end of a config. Output of libraries goes to standard
error.
"""

import json
import os
import resource
import sys
import warnings

#: Bytes of memory of this process; beyond them allocations fail.
MEMORY = 16 * 2**30


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    warnings.simplefilter('ignore')

    import gtpt_mm  # noqa: F401, I001  (repairs come before mmpose)
    import torch
    from mmpose.utils import register_all_modules

    from projects.zoo.trial import run

    torch.set_num_threads(1)
    register_all_modules()

    def report(record: dict) -> None:
        print(json.dumps(record), file=answers)

    report(dict(ready=True))
    for line in sys.stdin:
        task = json.loads(line)
        run(task['name'], tuple(task['stages']), report)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        report(dict(done=True, memory=used))


if __name__ == '__main__':
    main()
