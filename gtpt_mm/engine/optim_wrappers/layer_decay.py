"""Learning rates that fall from the head to the first layer."""

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as CONSTRUCTORS
from torch import nn


@CONSTRUCTORS.register_module()
class BackboneLayerDecayOptimWrapperConstructor(
    DefaultOptimWrapperConstructor
):
    """Scale the learning rate by depth; do not decay vectors.

    With n depths, a parameter at depth d learns with

        lr * layer_decay_rate ** (n - 1 - d)

    The backbone describes its parameters: ``get_layer_depth(name, prefix)``
    returns d and n, ``no_weight_decay()`` the names of those that do not decay
    although they have several axes. Parameters with one axis (biases, norms)
    do not decay either, and those outside the backbone have the full rate.
    The groups are those of the official ViTPose.

    mmpose's ``LayerDecayOptimWrapperConstructor`` matches names instead; on a
    backbone with other names it gives every layer the full rate, silently.

    Args:
        optim_wrapper_cfg: Config of the optimizer wrapper.
        paramwise_cfg: ``dict(layer_decay_rate=...)``, in (0, 1]; nothing else.

    Raises:
        ValueError: If ``paramwise_cfg`` has other keys or another rate; when
            called, if not exactly one trainable module gives depths.

    Example:
        >>> wrapper = dict(
        ...     type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-4)
        ... )
        >>> construct = BackboneLayerDecayOptimWrapperConstructor(
        ...     wrapper, dict(layer_decay_rate=0.75)
        ... )
    """

    def __init__(
        self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None
    ) -> None:
        given = dict(paramwise_cfg or {})
        if set(given) != {'layer_decay_rate'}:
            raise ValueError(
                "paramwise_cfg needs exactly 'layer_decay_rate', got "
                f'{sorted(given)}; the backbone gives the depth and the '
                'parameters that do not decay'
            )
        self.layer_decay_rate = given['layer_decay_rate']
        if not 0 < self.layer_decay_rate <= 1:
            raise ValueError(
                'layer_decay_rate must lie in (0, 1], got '
                f'{self.layer_decay_rate}'
            )
        super().__init__(optim_wrapper_cfg, given)

    def add_params(
        self, params: list[dict], module: nn.Module, **kwargs: object
    ) -> None:
        """Append the groups of a model's trainable parameters."""
        path, backbone = _find_backbone(module)
        prefix = f'{path}.' if path else ''
        no_decay = {prefix + name for name in backbone.no_weight_decay()}
        groups: dict[str, dict] = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            depth, num_depths = backbone.get_layer_depth(name, prefix)
            decays = parameter.ndim > 1 and name not in no_decay
            key = f'layer_{depth}_{"decay" if decays else "no_decay"}'
            if key not in groups:
                scale = self.layer_decay_rate ** (num_depths - 1 - depth)
                groups[key] = dict(
                    group_name=key,
                    lr=scale * self.base_lr,
                    lr_scale=scale,
                    weight_decay=(self.base_wd or 0.0) if decays else 0.0,
                    param_names=[],
                    params=[],
                )
            groups[key]['param_names'].append(name)
            groups[key]['params'].append(parameter)
        params.extend(groups.values())


def _find_backbone(model: nn.Module) -> tuple[str, Any]:
    """Return path and module of the one backbone that gives depths."""
    backbones = [
        (path, module)
        for path, module in model.named_modules()
        if hasattr(module, 'get_layer_depth')
        and any(p.requires_grad for p in module.parameters())
    ]
    if len(backbones) != 1:
        raise ValueError(
            'layer-wise learning rates require exactly one backbone with a '
            'method get_layer_depth, such as ViTPose; found '
            f'{[path for path, _ in backbones]}'
        )
    return backbones[0]
