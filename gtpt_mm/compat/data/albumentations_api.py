"""Augment with current albumentations as mmpose's configs ask for it.

Broken: mmpose (<= 1.3.2) looks names up in
``albumentations.augmentations.transforms``, a module that albumentations
2.0.6 moved: every training with ``Albumentation`` in its pipeline, such as
RTMPose's, fails at its start. Albumentations 2 also renamed the arguments of
``CoarseDropout`` and only warns about the old ones, which all of those configs
use: it would cut one or two holes of a tenth to a fifth of the crop, instead
of one hole of a fifth to two fifths.

Here: the module gets its old name back, and old arguments are translated. If
albumentations is not installed, mmpose itself says so.

Can go: when mmpose's configs are written for albumentations 2.
"""

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gtpt_mm.compat.replacement import replace_class

#: Old arguments of ``CoarseDropout``: the upper end, the lower end, the
#: default of the upper one; and what albumentations 2 calls the range.
RANGES = {
    'num_holes_range': ('max_holes', 'min_holes', 8),
    'hole_height_range': ('max_height', 'min_height', 8),
    'hole_width_range': ('max_width', 'min_width', 8),
}
RENAMED = dict(fill_value='fill', mask_fill_value='fill_mask')


def missing() -> str:
    """Say what is missing; '' without albumentations, and for old ones."""
    spec = find_spec('albumentations')
    if spec is None or spec.origin is None:
        return ''
    folder = Path(spec.origin).parent / 'augmentations'
    if (folder / 'transforms.py').is_file() or not folder.is_dir():
        return ''
    return (
        'albumentations >= 2 moved the module in which mmpose looks up '
        'augmentations, and renamed arguments that its configs use'
    )


def repair() -> None:
    """Give the module its old name and translate the arguments."""
    from mmpose.datasets.transforms import Albumentation as stock
    from mmpose.registry import TRANSFORMS

    package: Any = importlib.import_module('albumentations.augmentations')
    package.transforms = importlib.import_module(
        'albumentations.augmentations.pixel.transforms'
    )
    replace_class(TranslatedArguments, stock, TRANSFORMS)


class TranslatedArguments:
    """Albumentation augmentation, with arguments of albumentations 1 or 2."""

    def albu_builder(self, cfg: dict) -> Any:
        """Build one augmentation of the list, with those nested in it.

        Args:
            cfg: ``type`` and arguments, under old or new names.
        """
        return super().albu_builder(translate(cfg))  # type: ignore


def translate(cfg: dict) -> dict:
    """Return the config of an augmentation in the names of albumentations 2.

    Args:
        cfg: ``type`` and arguments; unchanged.

    Example:
        >>> translate(dict(type='CoarseDropout', max_holes=1, max_height=0.4,
        ...                max_width=0.4, min_height=0.2, p=0.5))
        {'type': 'CoarseDropout', 'p': 0.5, 'num_holes_range': (1, 1), \
'hole_height_range': (0.2, 0.4), 'hole_width_range': (0.4, 0.4)}
    """
    old = {key for names in RANGES.values() for key in names[:2]} | {*RENAMED}
    if cfg.get('type') != 'CoarseDropout' or not old & set(cfg):
        return cfg
    new = {key: value for key, value in cfg.items() if key not in old}
    for key, (most, least, default) in RANGES.items():
        if key not in new:
            high = cfg.get(most, default)
            low = cfg.get(least)
            new[key] = (high if low is None else low, high)
    for key, name in RENAMED.items():
        if key in cfg:
            new[name] = cfg[key]
    return new
