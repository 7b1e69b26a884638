"""Report in one line how many tensors were loaded; none is an error.

Broken: ``load_state_dict`` of mmengine (<= 0.10.7) loads the tensors that
fit. If none fits, a model predicts from random weights after 20 kB of names;
if a tensor is NaN, it predicts silently. The names are printed, not logged,
since most callers pass no logger.

Here: one line, ``258 of 258 tensors loaded from FILE``; if some do not fit, a
warning with the first names; none or NaN is an error. The function is replaced
wherever it was imported, so it covers all callers (test, inferencer,
``init_cfg``, ``load_from``).

Can go: when mmengine refuses a checkpoint of which it loads nothing.
"""

import functools
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner import runner as mmengine_runner
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from ..messages import list_some
from ..replacement import replace_everywhere
from .checkpoint_files import BrokenCheckpointError

WRAPPER = 'module.'
#: A buffer of BatchNorm that is not counted: torch adds it if absent.
COUNTER = 'num_batches_tracked'
SHAPES = re.compile(
    r'size mismatch for (\S+): .*?\[([\d, ]*)\].*?\[([\d, ]*)\]', re.DOTALL
)
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

#: The file of each tensor that was loaded and is still in use.
_files: Any = WeakIdKeyDictionary()


def missing() -> str:
    """Say what is missing."""
    return 'mmengine keeps random weights where a checkpoint does not fit'


def repair() -> None:
    """Count and check loaded tensors; name their file."""
    CheckpointLoader.load_checkpoint = classmethod(
        remember_file(CheckpointLoader.load_checkpoint.__func__)
    )
    for name, new in (
        ('load_state_dict', load_state_dict),
        ('_load_checkpoint_with_prefix', load_with_prefix),
    ):
        replace_everywhere(getattr(mmengine_checkpoint, name), new)
    mmengine_runner._load_checkpoint = name_weights(
        mmengine_runner._load_checkpoint
    )
    Runner.load_checkpoint = name_file(Runner.load_checkpoint)


def name_weights(load_checkpoint: Callable) -> Callable:
    """Return a loader that wraps bare weights in ``state_dict``.

    Hooks of a runner expect this entry.
    """

    @functools.wraps(load_checkpoint)
    def wrapper(*args: Any, **options: Any) -> Mapping[str, Any]:
        content = load_checkpoint(*args, **options)
        if all(isinstance(value, Tensor) for value in content.values()):
            return dict(meta={}, state_dict=content)
        return content

    return wrapper


def name_file(load_checkpoint: Callable) -> Callable:
    """Return the runner's method, naming the file in errors of hooks.

    The EMA hook copies the tensors, which loses their source.
    """

    @functools.wraps(load_checkpoint)
    def wrapper(
        self: Runner, filename: str, *args: Any, **options: Any
    ) -> Mapping[str, Any]:
        try:
            return load_checkpoint(self, filename, *args, **options)
        except BrokenCheckpointError as error:
            if str(filename) in str(error):
                raise
            raise BrokenCheckpointError(f'{filename}: {error}') from None

    return wrapper


def remember_file(load_checkpoint: Callable) -> Callable:
    """Return mmengine's loader, noting which file a tensor is from."""

    @functools.wraps(load_checkpoint)
    def wrapper(
        cls: type, filename: str, *args: Any, **options: Any
    ) -> Mapping[str, Any]:
        content = load_checkpoint(cls, filename, *args, **options)
        if not isinstance(content, Mapping):
            raise BrokenCheckpointError(
                f'checkpoint {filename} contains a {type(content).__name__}, '
                'not a state dict'
            )
        if content.get('state_dict', content) == {}:
            raise BrokenCheckpointError(
                f'checkpoint {filename} has no weights: 0 tensors'
            )
        entries = [e for e in content.values() if isinstance(e, Mapping)]
        for entry in (content, *entries):
            for value in entry.values():
                if isinstance(value, Tensor):
                    _files[value] = str(filename)
        return content

    return wrapper


def find_file(state_dict: Mapping[str, Any]) -> str:
    """Return the file that tensors were loaded from; '' if unknown."""
    for value in state_dict.values():
        for tensor in (
            value.values() if isinstance(value, Mapping) else (value,)
        ):
            if isinstance(tensor, Tensor) and tensor in _files:
                return _files[tensor]
    return ''


@dataclass
class Loaded:
    """Tensors of a checkpoint that fit a model, and those that do not."""

    num_tensors: int
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    num_loaded: int = 0

    def is_complete(self) -> bool:
        """Return whether file and model agree."""
        return not (self.missing or self.unexpected or self.errors)

    def explain(self) -> str:
        """Return the first names that did not fit; '' if all did."""
        shapes = [SHAPES.search(error) for error in self.errors]
        other = [
            f'{m[1]} ({m[2]}), the model has ({m[3]})' if m else error
            for m, error in zip(shapes, self.errors, strict=True)
        ]
        kinds = {
            'Not in the file': self.missing,
            'Not in the model': self.unexpected,
            'Of another shape': other,
        }
        return ' '.join(
            f'{kind}: {list_some(names)}.'
            for kind, names in kinds.items()
            if names
        )


def load_state_dict(
    module: nn.Module,
    state_dict: Mapping[str, Tensor],
    strict: bool = False,
    logger: Any = None,
) -> None:
    """Load a state dict as mmengine does; log how much was loaded.

    Args:
        module: Module to load.
        state_dict: Weights, left as they are.
        strict: Whether every name must agree.
        logger: As for mmengine; None takes the current one.

    Raises:
        BrokenCheckpointError: If no tensor is loaded, or one is NaN.
        RuntimeError: If ``strict`` and not every name agrees.
    """
    file = find_file(state_dict)
    source = f' from {file}' if file else ''
    loaded = _load(module, _unwrap(state_dict, module))
    words = (
        f'{type(module).__name__}: {loaded.num_loaded} of '
        f'{loaded.num_tensors} tensors loaded{source}.'
    )
    if not loaded.is_complete():
        words = f'{words} {loaded.explain()}'
    if strict and not loaded.is_complete():
        raise RuntimeError(words)
    if loaded.num_tensors and not loaded.num_loaded:
        raise BrokenCheckpointError(f'{words} {_find_remedy(loaded)}')
    used = {k: v for k, v in state_dict.items() if k not in loaded.unexpected}
    check_finite(used, f'the weights{source}')
    if file or not loaded.is_complete():
        level = logging.INFO if loaded.is_complete() else logging.WARNING
        print_log(words, logger=logger or 'current', level=level)


def _find_remedy(loaded: Loaded) -> str:
    """Say how to use a file without a tensor that fits."""
    if any(name.startswith('backbone.') for name in loaded.unexpected):
        return "For a backbone alone set prefix='backbone.' in init_cfg"
    return (
        'The file is of another model, or of another project (then gtpt-mm '
        'convert may help)'
    )


def _unwrap(state_dict: Mapping, module: nn.Module) -> dict[str, Tensor]:
    """Copy a state dict, without the prefix of a distributed training."""
    copied = state_dict.copy()  # type: ignore[attr-defined]
    if (metadata := getattr(state_dict, '_metadata', None)) is not None:
        copied._metadata = metadata
    wrapped = all(key.startswith(WRAPPER) for key in copied)
    if copied and wrapped and not hasattr(module, 'module'):
        return {k.removeprefix(WRAPPER): v for k, v in copied.items()}
    return copied


def _load(module: nn.Module, state_dict: dict[str, Tensor]) -> Loaded:
    """Load all tensors that fit, as torch does, also inside wrappers."""
    metadata = getattr(state_dict, '_metadata', {})
    loaded = Loaded(0)
    incompatible = mmengine_checkpoint._IncompatibleKeys(
        loaded.missing, loaded.unexpected
    )

    def load(part: nn.Module, local: dict[str, Tensor], prefix: str) -> None:
        if is_model_wrapper(part) or isinstance(part, BaseTTAModel):
            part = cast(nn.Module, part.module)
        part._load_from_state_dict(
            local,
            prefix,
            metadata.get(prefix[:-1], {}),
            True,  # note names that do not fit
            loaded.missing,
            loaded.unexpected,
            loaded.errors,
        )
        loaded.num_tensors += len(list(_own_tensors(part)))
        for name, child in part._modules.items():
            if child is None:
                continue
            start = f'{prefix}{name}.'
            below = {k: v for k, v in local.items() if k.startswith(start)}
            load(child, below, start)
        for hook in part._load_state_dict_post_hooks.values():
            hook(part, incompatible)

    load(module, state_dict, '')
    loaded.missing = [k for k in loaded.missing if COUNTER not in k]
    errors = [e for e in loaded.errors if COUNTER not in e]
    not_loaded = len(loaded.missing) + len(errors)
    loaded.num_loaded = loaded.num_tensors - not_loaded
    return loaded


def _own_tensors(module: nn.Module) -> Iterable[str]:
    """Return the names of a module's own tensors that are saved."""
    yield from (k for k, v in module._parameters.items() if v is not None)
    transient = module._non_persistent_buffers_set
    for name, value in module._buffers.items():
        if value is not None and name not in (*transient, COUNTER):
            yield name


def load_with_prefix(
    prefix: str, filename: str, map_location: Any = None
) -> dict[str, Tensor]:
    """Load the part of a checkpoint below a prefix, as mmengine does.

    Raises:
        BrokenCheckpointError: If no name begins with the prefix.
    """
    content = CheckpointLoader.load_checkpoint(filename, map_location, None)
    state_dict = content.get('state_dict', content)
    start = prefix.rstrip('.') + '.'
    part = {
        k.removeprefix(start): v
        for k, v in state_dict.items()
        if k.startswith(start)
    }
    if not part:
        found = sorted({key.partition('.')[0] for key in state_dict})
        raise BrokenCheckpointError(
            f'checkpoint {filename} has nothing below prefix={prefix!r}; its '
            f'names begin with {list_some(found)}'
        )
    return part


def check_finite(state_dict: Mapping[str, Any], source: str) -> None:
    """Raise if a weight is NaN or infinite.

    Args:
        state_dict: Tensors by name; other values are skipped.
        source: Their description in the message: ``'the weights of a.pth'``.

    Raises:
        BrokenCheckpointError: If there is one. Masks may be infinite.
    """
    wrong = [k for k, v in state_dict.items() if not _is_finite(k, v)]
    if wrong:
        raise BrokenCheckpointError(
            f'{source} are NaN or infinite in {len(wrong)} of '
            f'{len(state_dict)} tensors: {list_some(wrong)}. The training '
            'diverged; take an earlier checkpoint'
        )


def _is_finite(name: str, value: Any) -> bool:
    if not isinstance(value, Tensor) or value.dtype not in DTYPES:
        return True
    # One pass without a copy; the sum of finite numbers may overflow, though.
    if torch.isfinite(value.sum()):
        return True
    if 'mask' in name.rpartition('.')[2]:
        return not bool(torch.isnan(value).any())
    return bool(torch.isfinite(value).all())
