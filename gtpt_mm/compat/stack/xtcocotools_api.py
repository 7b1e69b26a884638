"""Offer the names of xtcocotools on pycocotools.

Broken: mmpose (<= 1.3.2) imports ``xtcocotools``. Its wheels (<= 1.14.3) were
built for numpy 1 and raise ``numpy.dtype size changed`` with numpy 2. Built
from source, which requires a compiler, its ``mask.decode`` still asks numpy 2
for ``NPY_OWNDATA``, so ``BottomupGetHeatmapMask`` fails.

Here: where xtcocotools is missing or cannot be imported, the modules
``xtcocotools``, ``.coco``, ``.cocoeval`` and ``.mask`` with the classes handed
to :func:`repair` and the masks of pycocotools; where only its masks fail, the
masks.

Can go: when mmpose no longer imports xtcocotools, or wheels of xtcocotools
for numpy 2 are in the registry.
"""

import importlib
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

NAME = 'xtcocotools'
MODULES = (NAME, *(f'{NAME}.{m}' for m in ('coco', 'cocoeval', 'mask')))
ABSENT = f'{NAME} is not installed; mmpose imports it'
MASKS = f'{NAME} cannot decode masks with this numpy'


def missing() -> str:
    """Say what is missing."""
    try:
        *_, masks = [importlib.import_module(name) for name in MODULES]
    except Exception as error:  # of an extension built for another numpy
        # If the package is hidden, the error names a submodule.
        absent = getattr(error, 'name', None) or ''
        if absent.partition('.')[0] == NAME:
            return ABSENT
        return f'{NAME}, which mmpose imports, fails: {error}'
    try:
        masks.decode(
            masks.merge(masks.frPyObjects([[0, 0, 2, 0, 2, 2]], 2, 2))
        )
    except AttributeError:
        return MASKS
    return ''


def repair(ops: ModuleType) -> None:
    """Supply the modules, or only their masks.

    Args:
        ops: The classes ``COCO``, ``COCOeval`` and ``Params``, as
            :mod:`gtpt_mm.ops` has them.
    """
    from pycocotools import mask

    masks = {n: f for n, f in vars(mask).items() if not n.startswith('_')}
    if missing() == MASKS:
        vars(sys.modules[f'{NAME}.mask']).update(masks)
        return
    for name in [n for n in sys.modules if n.partition('.')[0] == NAME]:
        del sys.modules[name]  # partly imported ones
    package = _supply(NAME)
    package.coco = _supply(f'{NAME}.coco', COCO=ops.COCO)
    package.cocoeval = _supply(
        f'{NAME}.cocoeval', COCOeval=ops.COCOeval, Params=ops.Params
    )
    package.mask = _supply(f'{NAME}.mask', **masks)


def _supply(name: str, **content: Any) -> Any:
    """Return a module that stands for one of xtcocotools."""
    module = ModuleType(name, 'Names of xtcocotools, by gtpt_mm.')
    # find_spec of a loaded module asks for it.
    spec = importlib.machinery.ModuleSpec(
        name, None, origin=__file__, is_package=name == NAME
    )
    module.__spec__, module.__file__ = spec, __file__
    module.__package__ = spec.parent
    if spec.submodule_search_locations is not None:
        module.__path__ = spec.submodule_search_locations
    vars(module).update(content)
    sys.modules[name] = module
    return module
