"""Cache of the formatted text of a config.

Broken: mmengine (<= 0.10.7) formats the whole config with yapf for the log,
for the file in the work folder, for the visualizer, and again for every
checkpoint, though it is the same text. For the 800 lines of a ViTPose++ this
costs a checkpoint more than a short epoch of training.

Here: the formatted text is cached.

Can go: when mmengine keeps ``Config.pretty_text``.
"""

import functools
from collections.abc import Callable
from typing import Any

from mmengine.config import config as mmengine_config

#: Texts to remember. A run has one or two; searches and tests have more.
NUM_TEXTS = 8


def missing() -> str:
    """Say what is missing."""
    return 'mmengine formats the same config again at every checkpoint'


def repair() -> None:
    """Cache the text that yapf has formatted."""
    mmengine_config.FormatCode = remember(mmengine_config.FormatCode)


def remember(format_code: Callable) -> Callable:
    """Return yapf's ``FormatCode``, computing each text once.

    Args:
        format_code: The function; its result depends on its arguments alone.
    """

    @functools.lru_cache(maxsize=NUM_TEXTS)
    def compute(text: str, style: tuple) -> Any:
        return format_code(text, style_config=dict(style))

    @functools.wraps(format_code)
    def lay_out(
        text: str, *args: Any, style_config: Any = None, **options: Any
    ) -> Any:
        if args or options or not isinstance(style_config, dict):
            return format_code(
                text, *args, style_config=style_config, **options
            )
        return compute(text, tuple(sorted(style_config.items())))

    return lay_out
