"""What a benchmark ran on."""

import datetime
import os
import platform
from pathlib import Path

import mmpose
import torch

from gtpt_mm.version import __version__


def describe_machine(device: str = 'cpu') -> dict[str, str | int | None]:
    """Return what figures depend on besides the model.

    Args:
        device: ``'cpu'`` or ``'cuda'``, optionally with a number.

    Returns:
        Names of the processors, number of threads, versions, settings of
        the allocator and of the products' precision, date.
    """
    machine = dict(
        date=datetime.datetime.now()
        .astimezone()
        .isoformat(timespec='seconds'),
        cpu=_cpu_name(),
        cpu_features=_cpu_features(),
        cpus=len(os.sched_getaffinity(0))
        if hasattr(os, 'sched_getaffinity')
        else os.cpu_count(),
        threads=torch.get_num_threads(),
        system=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        mmpose=mmpose.__version__,
        gtpt_mm=__version__,
        malloc=' '.join(
            f'{key}={value}'
            for key, value in sorted(os.environ.items())
            if key.startswith('MALLOC_') or key == 'LD_PRELOAD'
        )
        or 'default',
    )
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


def _cpu_info(key: str) -> str:
    """Return what Linux says of the first processor, or ''."""
    info = Path('/proc/cpuinfo')
    if info.is_file():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(':')
            if name.strip() == key:
                return value.strip()
    return ''


def _cpu_name() -> str:
    """Return the processor's model name."""
    name = _cpu_info('model name')
    return name or platform.processor() or platform.machine()


def _cpu_features() -> str:
    """Return the instructions that decide how fast each dtype is."""
    known = ('avx2', 'avx512f', 'avx512_bf16', 'avx512_fp16', 'amx_bf16')
    found = set(_cpu_info('flags').split()).intersection(known)
    return ' '.join(sorted(found)) or 'unknown'
