"""Save a training whose optimizer state is divided among the processes.

Broken: mmengine (<= 0.10.7) has torch's ``ZeroRedundancyOptimizer``, in which
each process holds the moments of some parameters only. To save them, all
processes must gather them; ``Runner.save_checkpoint`` does so only in the
first process, which then waits forever. With a single process the optimizer
cannot be built; with ``overlap_with_ddp``, for which mmengine has no
communication hook, steps silently change no weight.

Here: a subclass under the stock name, and every save gathers the state in all
processes first, whoever asks for it, CheckpointHook or a signal. The file has
what the plain optimizer would write: it resumes with or without ZeRO, with
any number of processes. One process gets the plain optimizer.

Can go: when ``Runner.save_checkpoint`` of mmengine lets all processes gather.
"""

import functools
from typing import Any

import torch
from mmengine.optim import OptimWrapperDict
from mmengine.optim.optimizer import zero_optimizer as stock_module
from mmengine.registry import OPTIMIZERS
from mmengine.runner import Runner

from ..messages import log
from ..replacement import replace_everywhere

Stock: Any = stock_module.ZeroRedundancyOptimizer
#: Options that the plain optimizer does not have.
OWN = ('process_group', 'parameters_as_bucket_view', 'overlap_with_ddp')


def missing() -> str:
    """Say what is missing."""
    if not torch.distributed.is_available():
        return ''
    return 'a training with ZeroRedundancyOptimizer hangs at its first save'


def repair() -> None:
    """Put the subclass under the stock name; gather before every save."""
    OPTIMIZERS.register_module(module=ZeroRedundancyOptimizer, force=True)
    replace_everywhere(Stock, ZeroRedundancyOptimizer)
    save = Runner.save_checkpoint

    @functools.wraps(save)
    def save_checkpoint(self: Runner, *args: Any, **options: Any) -> None:
        divided = _find(self.optim_wrapper)
        if not options.get('save_optimizer', True):
            divided = []
        for optimizer in divided:
            optimizer.consolidate_state_dict()
        try:
            save(self, *args, **options)
        finally:
            for optimizer in divided:
                optimizer.forget()

    Runner.save_checkpoint = save_checkpoint


class ZeroRedundancyOptimizer(Stock):
    """An optimizer of torch with its state divided among the processes.

    Steps equal those of the plain optimizer, bit for bit: each process
    computes the new values of its parameters and sends them to the others.
    With a single process this is the plain optimizer.

    Args:
        params: Parameters or groups of them.
        optimizer_type: Name of the plain optimizer in ``torch.optim``.
        **options: Its options, and those of torch's class.

    Raises:
        ValueError: If torch has no such optimizer, or for
            ``overlap_with_ddp``.
    """

    def __new__(
        cls, params: Any, optimizer_type: str, **options: Any
    ) -> torch.optim.Optimizer:
        """Return the plain optimizer if there is a single process."""
        plain = _find_plain(optimizer_type)
        if options.get('overlap_with_ddp'):
            raise ValueError(
                'ZeroRedundancyOptimizer(overlap_with_ddp=True) would change '
                'no weight: mmengine has no communication hook for it. Leave '
                'overlap_with_ddp out'
            )
        if torch.distributed.is_initialized():
            return super().__new__(cls)
        log(
            'There is one process: ZeroRedundancyOptimizer has nothing to '
            f'divide and is a plain {optimizer_type}. Start several with '
            '--launcher'
        )
        return plain(
            params, **{k: options[k] for k in options if k not in OWN}
        )

    def __init__(
        self, params: Any, optimizer_type: str, **options: Any
    ) -> None:
        # A copy, not **options: the valid names depend on the type, so the
        # config check leaves them to torch.
        given = dict(options)
        super().__init__(params, optimizer_type, **given)
        self.defaults = dict(self.optim.defaults)  # also those not given
        # Code that reads or clears the state means that of this process.
        self.state = self.optim.state

    def state_dict(self) -> dict:
        """Return the state of all processes; each must have gathered it."""
        return super(Stock, self).state_dict()

    def load_state_dict(self, state_dict: dict) -> None:
        """Take this process's part of a whole state."""
        # A copy: torch removes what belongs to the others.
        whole = dict(state_dict, state=dict(state_dict['state']))
        super().load_state_dict(whole)
        self.state = self.optim.state

    def forget(self) -> None:
        """Free the gathered state on the CPU of the first process."""
        self._all_state_dicts: list[dict] = []


def _find_plain(name: str) -> type[torch.optim.Optimizer]:
    plain = getattr(torch.optim, str(name), None)
    if not (isinstance(plain, type) and plain is not torch.optim.Optimizer):
        raise ValueError(
            f'ZeroRedundancyOptimizer(optimizer_type={name!r}): torch.optim '
            "has no such optimizer; give the name of one, such as 'AdamW'"
        )
    return plain


def _find(wrapper: Any) -> list[ZeroRedundancyOptimizer]:
    """Return the optimizers of a wrapper, or of several, that divide."""
    if isinstance(wrapper, OptimWrapperDict):
        return [each for one in wrapper.values() for each in _find(one)]
    optimizer = getattr(wrapper, 'optimizer', None)
    if isinstance(optimizer, ZeroRedundancyOptimizer):
        return [optimizer]
    return []
