"""Description of the machine that a benchmark runs on."""

import contextlib
import datetime
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mmpose
import torch

from gtpt_mm.version import __version__


def describe_machine(
    device: str = 'cpu', packages: Sequence[str] = ()
) -> dict[str, str | int | None]:
    """Return everything that figures depend on, except the model.

    Args:
        device: ``'cpu'`` or ``'cuda'``, optionally with a number.
        packages: Names whose versions are given if they are installed
            packages.

    Returns:
        Names of the processors, number of threads, versions, settings of
        the allocator and of the products' precision, date.
    """
    now = datetime.datetime.now().astimezone()
    allocator = [
        f'{key}={value}'
        for key, value in sorted(os.environ.items())
        if key.startswith('MALLOC_') or key == 'LD_PRELOAD'
    ]
    cpu = _first_cpu()
    known = (
        'avx2', 'avx_vnni', 'avx512f', 'avx512_vnni', 'avx512_bf16',
        'avx512_fp16', 'amx_bf16', 'amx_int8',
    )  # fmt: skip
    features = sorted(set(cpu.get('flags', '').split()).intersection(known))
    machine: dict[str, str | int | None] = dict(
        date=now.isoformat(timespec='seconds'),
        cpu=cpu.get('model name')
        or platform.processor()
        or platform.machine(),
        cpu_features=' '.join(features) or 'unknown',
        cpus=len(os.sched_getaffinity(0))
        if hasattr(os, 'sched_getaffinity')
        else os.cpu_count(),
        threads=torch.get_num_threads(),
        system=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        mmpose=mmpose.__version__,
        gtpt_mm=__version__,
        malloc=' '.join(allocator) or 'default',
    )
    for name in packages:
        with contextlib.suppress(PackageNotFoundError):
            machine.setdefault(name, version(name))
    if torch.device(device).type == 'cuda':
        properties = torch.cuda.get_device_properties(device)
        machine |= dict(
            gpu=properties.name,
            gpu_memory_mib=properties.total_memory // 2**20,
            cuda=torch.version.cuda,
            cudnn=torch.backends.cudnn.version(),
            matmul_precision=torch.get_float32_matmul_precision(),
            cudnn_tf32=str(torch.backends.cudnn.allow_tf32),
        )
    return machine


def _first_cpu() -> dict[str, str]:
    """Return the properties of the first processor that Linux lists."""
    info = Path('/proc/cpuinfo')
    text = info.read_text().partition('\n\n')[0] if info.is_file() else ''
    pairs = (line.partition(':') for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
