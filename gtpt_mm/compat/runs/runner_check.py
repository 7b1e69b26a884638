"""Call checks of a config before anything is built.

Broken: mmengine (<= 0.10.7) builds the sections of a config that it knows and
ignores other keys; nothing sees the whole config first. A hook comes too late:
loops and schedules are built before ``before_run``, and an inferencer or
``init_model`` has no hooks.

Here: ``Runner.from_cfg``, ``BaseInferencer`` and mmpose's ``init_model``
call the functions of ``before_runner`` with the config first.

Can go: when mmengine has a hook that sees the config before it is built.
"""

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

#: Called with the config and whether it is run (trained, tested) or only its
#: model is built. They may raise, but must not change the config.
before_runner: list[Callable[[Any, bool], None]] = []


def missing() -> str:
    """Say what is missing."""
    return 'mmengine checks no config before it builds a runner'


def repair() -> None:
    """Call ``before_runner`` before a runner or model is built."""
    import mmpose.apis
    import mmpose.apis.inference
    from mmengine.infer import BaseInferencer

    build = Runner.from_cfg.__func__  # type: ignore[attr-defined]

    @functools.wraps(build)
    def from_cfg(cls: type, cfg: Any) -> Any:
        call_checks(cfg, True)
        return build(cls, cfg)

    Runner.from_cfg = classmethod(from_cfg)
    init = BaseInferencer._init_model

    @functools.wraps(init)
    def _init_model(self: Any, cfg: Any, *args: Any, **kwargs: Any) -> Any:
        if cfg:  # else it is in the checkpoint
            call_checks(cfg, False)
        return init(self, cfg, *args, **kwargs)

    BaseInferencer._init_model = _init_model
    wrapped = check_first(mmpose.apis.inference.init_model)
    mmpose.apis.inference.init_model = wrapped
    mmpose.apis.init_model = wrapped


def check_first(init_model: Callable) -> Callable:
    """Return ``init_model`` that checks its config first."""

    @functools.wraps(init_model)
    def init_checked(
        config: Any,
        checkpoint: Any = None,
        device: str = 'cuda:0',
        cfg_options: dict | None = None,
    ) -> Any:
        if isinstance(config, str | Path):
            config = Config.fromfile(config)
        if isinstance(config, Config):
            changed = config
            if cfg_options:
                changed = copy.deepcopy(config)
                changed.merge_from_dict(cfg_options)
            call_checks(changed, False)
        return init_model(config, checkpoint, device, cfg_options)

    return init_checked


def call_checks(cfg: Any, is_run: bool) -> None:
    """Call all checks."""
    for check in before_runner:
        check(cfg, is_run)
