"""Train some parts of a model and keep the others as they are."""

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS
from torch import nn

Part = nn.Module | nn.Parameter


@HOOKS.register_module()
class FreezeHook(Hook):
    """Freeze parts of a model for a training, by name.

    A name is the path of a module or parameter (``'backbone.pos_embed'``), or
    ends in a part that the module before it returns from ``get_parts``
    (``'backbone.attn'``, ``'head.crowdpose'``), see ``ViTPose``. Frozen
    parameters have no gradient, and frozen modules stay in evaluation mode:
    norms keep their statistics and nothing is dropped.

    mmengine wraps the model for distributed training and builds the optimizer
    before any hook runs. DDP waits for the gradients of all parameters that
    are trainable when it is built, so this hook builds the wrapper a second
    time. The optimizer keeps the frozen parameters in its groups; without a
    gradient it neither moves nor decays them.

    Args:
        frozen: Names of the parts that are not trained.
        trainable: Names of the only parts that are trained, instead of
            ``frozen``.

    Raises:
        ValueError: If both or neither are given; before the training, if a
            name is unknown or nothing is left to train.

    Example:
        >>> hook = FreezeHook(frozen=['backbone.attn'])
        >>> hook = FreezeHook(trainable=['backbone.experts.6', 'head.dogs'])
    """

    def __init__(
        self, frozen: Sequence[str] = (), trainable: Sequence[str] = ()
    ) -> None:
        if bool(frozen) == bool(trainable):
            raise ValueError(
                'either frozen or trainable must name parts of the model, got '
                f'frozen={list(frozen)} and trainable={list(trainable)}'
            )
        self.frozen = frozen
        self.trainable = trainable
        self.frozen_modules: list[nn.Module] = []

    def before_run(self, runner: Runner) -> None:
        """Freeze the parts and wrap the model again; only for a training."""
        if not isinstance(runner.optim_wrapper, OptimWrapper):
            return
        is_wrapped = is_model_wrapper(runner.model)
        model = runner.model.module if is_wrapped else runner.model
        self.frozen_modules = freeze(model, self.frozen, self.trainable)
        if is_wrapped:
            runner.model = runner.wrap_model(
                runner.cfg.get('model_wrapper_cfg'), model
            )

    def before_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
    ) -> None:
        """Undo ``model.train()``, which loops call in several places."""
        for module in self.frozen_modules:
            module.training = False


def freeze(
    model: nn.Module, frozen: Sequence[str] = (), trainable: Sequence[str] = ()
) -> list[nn.Module]:
    """Freeze parts of a model, in place; arguments are those of the hook.

    Returns:
        Modules that should be in evaluation mode while the others train.

    Raises:
        ValueError: If a name is unknown or nothing is left to train.
    """
    parameters: set[nn.Parameter] = set()
    modules: set[nn.Module] = set()
    for name in frozen or trainable:
        for part in _find(model, name):
            if isinstance(part, nn.Parameter):
                parameters.add(part)
            else:
                parameters.update(part.parameters())
                modules.update(part.modules())
    for parameter in model.parameters():
        if (parameter in parameters) == bool(frozen):
            parameter.requires_grad_(False)
    if not _is_trained(model):
        raise ValueError(
            f'frozen={list(frozen)}, trainable={list(trainable)} leave '
            'nothing to train'
        )
    if frozen:
        return list(modules)
    others = [m for m in model.modules() if m not in modules]
    return [m for m in others if not _is_trained(m)]


def _is_trained(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters())


def _find(module: nn.Module, name: str) -> list[Part]:
    """Return the modules and parameters with this name."""
    parts: dict[str, list[Part]] = {
        key: [child] for key, child in module.named_children()
    }
    parts |= {key: [p] for key, p in module.named_parameters(recurse=False)}
    parts |= getattr(module, 'get_parts', dict)()
    if name in parts:
        return parts[name]
    first, _, rest = name.partition('.')
    for child in parts.get(first, ()):
        if rest and isinstance(child, nn.Module):
            return _find(child, rest)
    raise ValueError(
        f'{name!r} is not a part of {type(module).__name__}, which has '
        f'{list(parts)}'
    )
