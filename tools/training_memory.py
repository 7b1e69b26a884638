"""Estimate the memory of a training step; with a GPU, measure it as well.

python tools/training_memory.py vitpose-h vitpose-plus-h --batch 64
python tools/training_memory.py vitpose-h --batch 16 --measure
"""

import argparse
import copy

import gtpt_mm  # noqa: F401  (compat before anything of mmpose)

import torch  # isort: skip
from mmpose.registry import MODELS  # isort: skip

from gtpt_mm.apis.model_names import get_config
from gtpt_mm.benchmark.memory import peak_memory
from gtpt_mm.benchmark.training_memory import estimate_training_memory

GB = 1e9


def parse_args() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('models', nargs='+', help='names or configs')
    add('--batch', type=int, default=64, help='images of a process')
    add('--processes', type=int, default=8)
    add('--measure', action='store_true', help='one step in one process')
    return parser.parse_args()


def read(name: str, with_cp: bool):
    """Return the config of a model."""
    cfg = copy.deepcopy(get_config(name))
    cfg.model.backbone.with_cp = with_cp
    return cfg


def measure(cfg, dtype: torch.dtype, batch: int) -> int:
    """Return the peak of a whole step, weights and moments included."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'

    def step() -> None:
        model = MODELS.build(cfg.model).train().to(device)
        optimizer = torch.optim.AdamW(model.parameters())
        size = cfg.model.backbone.get('img_size', (256, 192))
        img = torch.rand(batch, 3, *size, device=device)
        for _ in range(2):  # the first step makes the moments
            with torch.autocast(device, dtype, enabled=dtype.itemsize == 2):
                heatmaps = model(img, None, mode='tensor')
            heatmaps.float().square().mean().backward()
            del heatmaps
            optimizer.step()
            optimizer.zero_grad()

    return peak_memory(step, device)


def main() -> None:
    """Print a line of a table for each model and setting."""
    args = parse_args()
    head = ['model', 'autocast', 'with_cp', 'parameters', 'per image, MB']
    head += ['1 process', f'{args.processes} processes', 'with ZeRO']
    head += ['measured'] * args.measure
    print(f'| {" | ".join(head)} |\n{"|---" * len(head)}|')
    for name in args.models:
        for dtype in (torch.float32, torch.bfloat16):
            for with_cp in (False, True):
                cfg = read(name, with_cp)
                memory = estimate_training_memory(cfg, dtype)
                per_image = memory.per_image + memory.layer
                peaks = [
                    memory.peak(args.batch, *others)
                    for others in ((), (args.processes,), (args.processes, 1))
                ]
                if args.measure:
                    peaks.append(measure(cfg, dtype, args.batch))
                row = [
                    name,
                    str(dtype).removeprefix('torch.'),
                    'yes' if with_cp else 'no',
                    f'{memory.parameters / 4 / 1e6:.0f} M',
                    f'{per_image / 1e6:.0f}',
                    *(f'{peak / GB:.1f}' for peak in peaks),
                ]
                print(f'| {" | ".join(row)} |', flush=True)


if __name__ == '__main__':
    main()
