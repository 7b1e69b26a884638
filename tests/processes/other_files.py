"""One of two processes that see other files; notes the errors of both.

Each works in a folder of its own, and in the end the second does not see that
of the first, as on nodes without a common disk.
"""

import json
import os
import sys
import threading
from pathlib import Path

os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.distributed as dist

import gtpt_mm  # noqa: F401  (compat before anything of mmpose)
from gtpt_mm.compat.files import checkpoint_files
from gtpt_mm.compat.runs import nodes

from support.toy import make_runner, make_sample  # isort: skip


def catch(call, *args):
    """Return what a call returns, or its error in words."""
    try:
        return call(*args)
    except ValueError as error:
        return f'{type(error).__name__}: {error}'


def train(work_dir: Path, num: int = 8, **options):
    """Train; return the number of steps done."""
    runner = make_runner(
        work_dir,
        [make_sample(i, 1.0) for i in range(num)],
        epochs=2,
        launcher='pytorch',
        **options,
    )
    runner.train()
    return runner.iter


def load_changed(folder: Path, rank: int):
    """Resume from files that are not the same."""
    saved = torch.load(folder / 'shared/epoch_1.pth', weights_only=True)
    saved['meta']['iter'] += rank
    path = folder / f'{rank}.pth'
    torch.save(saved, path)
    return train(folder / 'changed', resume=True, load_from=str(path))


def hide(folder: Path) -> None:
    """Let this process not see the files of a folder."""
    is_file = Path.is_file
    Path.is_file = lambda path: folder not in path.parents and is_file(path)


def broken() -> None:
    raise checkpoint_files.BrokenCheckpointError('nothing is whole')


def main(folder: Path) -> None:
    dist.init_process_group('gloo')
    rank = dist.get_rank()
    own = folder / f'node{rank}'
    own.mkdir()
    os.chdir(own)
    found = {}
    nodes.PATIENCE = 5.0
    late = folder / 'late.pth'
    if rank == 0:
        threading.Timer(2.0, late.touch).start()
    found['late'] = catch(nodes.find_together, lambda: str(late))
    nodes.PATIENCE = 0.0
    found['broken'] = catch(nodes.find_together, broken)
    found['none'] = catch(nodes.find_together, lambda: None)
    found['samples'] = catch(train, folder / 'samples', 8 + 4 * rank)
    found['shared'] = catch(train, folder / 'shared')
    found['changed'] = catch(load_changed, folder, rank)
    found['own'] = catch(train, Path('work'))
    # The folder of the first process alone has checkpoints.
    if rank == 1:
        hide(folder / 'node0')
    found['resumed'] = catch(lambda: train(Path('work'), resume=True))
    (folder / f'{rank}.json').write_text(json.dumps(found))
    dist.barrier()


if __name__ == '__main__':
    main(Path(sys.argv[1]))
