"""Explain how to provide pretrained weights if a download fails."""

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import CheckpointLoader, Runner
from mmpose.registry import HOOKS
from torch import nn

from .unwrap import unwrap_model


@HOOKS.register_module()
class PretrainedFileHook(Hook):
    """Look for the pretrained weights of a training run before it starts.

    On a machine without network mmengine fails with a chain of ``urllib``
    errors. This hook names the module, the address and the option that takes
    a file instead. A downloaded file stays in the cache of torch. Test and
    validation need no such file and skip the check.

    Raises:
        FileNotFoundError: Before the first step of training.
    """

    def before_run(self, runner: Runner) -> None:
        """Load the files of all ``init_cfg``, once, on the CPU."""
        if not isinstance(runner.optim_wrapper, OptimWrapper):
            return  # no training
        for name, module in unwrap_model(runner.model).named_modules():
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
                f'loaded: {error}. Get the file on another machine and pass '
                f'--cfg-options {option}.checkpoint=FILE, or start from '
                f'random weights with {option}=None'
            ) from error


def _pretrained_sources(module: nn.Module) -> list[str]:
    """Return the files or addresses of a module's initial weights."""
    init_cfg = getattr(module, 'init_cfg', None) or []
    if isinstance(init_cfg, dict):
        init_cfg = [init_cfg]
    return [
        cfg['checkpoint'] for cfg in init_cfg if cfg['type'] == 'Pretrained'
    ]
