"""Say what to do where pretrained weights cannot be had."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import CheckpointLoader, Runner
from mmpose.registry import HOOKS
from torch import nn


@HOOKS.register_module()
class PretrainedFileHook(Hook):
    """Look for the pretrained weights of a training run before it starts.

    Where a machine has no network, mmengine fails with a chain of ``urllib``
    errors. This hook names the module, the address and the option that takes
    a file instead. A file that was downloaded once is found in the cache of
    torch; tests and validations do not need it and are not asked.

    Raises:
        FileNotFoundError: Before the first step of training.
    """

    def before_run(self, runner: Runner) -> None:
        """Load what ``init_cfg`` of any part names, once, on the CPU."""
        if not isinstance(runner.optim_wrapper, OptimWrapper):
            return  # no training
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        for name, module in model.named_modules():
            for source in _pretrained_sources(module):
                self._find(name, source)

    @staticmethod
    def _find(name: str, source: str) -> None:
        try:
            CheckpointLoader.load_checkpoint(source, map_location='cpu')
        except OSError as error:
            option = f'model.{name}.init_cfg'
            raise FileNotFoundError(
                f'the pretrained weights of {name}, {source!r}, cannot be '
                f'had: {error}. Get the file on another machine and give it '
                f'with --cfg-options {option}.checkpoint=FILE, or start from '
                f'random weights with {option}=None'
            ) from error


def _pretrained_sources(module: nn.Module) -> list[str]:
    """Return where the weights of a module itself come from."""
    init_cfg = getattr(module, 'init_cfg', None) or []
    if isinstance(init_cfg, dict):
        init_cfg = [init_cfg]
    return [
        cfg['checkpoint'] for cfg in init_cfg if cfg['type'] == 'Pretrained'
    ]
