"""The families of models that a config of ``gtpt-mm new`` can inherit."""

from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from gtpt_mm.config_names import find_model, list_models, suggest

#: Family of a top-down model by the type of its backbone.
_BACKBONES = dict(GTPT='gtpt', HEViTPose='hevitpose', ViTPose='vitpose')
#: Types of top-down models.
_CROPS = ('TopdownPoseEstimator', 'GuidedGTPTEstimator')
#: Divisor of the sides of a square input, and that for GTPT's patches of 4 x 3
#: at stride 4.
STEP = 32
GTPT_STEP = 48


class Base(NamedTuple):
    """The config that a new one inherits.

    Attributes:
        name: Name given by the user, for names of files.
        path: Path for ``_base_``: ``gtpt_mm::...``, or an absolute path.
        cfg: Its content.
        family: Key of ``rules.RATES``.
    """

    name: str
    path: str
    cfg: Config
    family: str

    @property
    def input_size(self) -> tuple[int, int]:
        """(w, h) in pixels; (0, 0) for whole pictures."""
        if self.family == 'group-pose':
            return 0, 0
        if self.family == 'vitpose-plus':
            return tuple(self.cfg.input_size)
        return tuple(self.cfg.codec.input_size)

    def step(self, from_scratch: bool) -> int:
        """Return the number that sides of a square are multiples of."""
        # From scratch a GTPT gets square patches.
        is_gtpt = self.family == 'gtpt' and not from_scratch
        return GTPT_STEP if is_gtpt else STEP


def find_base(model: str | Path) -> Base:
    """Return the config of a model by its name, or of a file.

    Raises:
        ValueError: If there is none, or the model cannot be trained on your
            own keypoints.
    """
    known = None if Path(model).is_file() else find_model(str(model))
    if known is None and not Path(model).is_file():
        raise ValueError(
            f'there is no model {str(model)!r}; {suggest(str(model))}'
        )
    if known is not None and not known.config:
        raise ValueError(
            f'{known.name} is an encoder, not a model of poses; give a model '
            f'such as vitpose-b and --from {known.name}'
        )
    path = Path(model).absolute() if known is None else known.path
    cfg = Config.fromfile(path)
    name = Path(model).stem if known is None else known.name
    base = str(path) if known is None else f'gtpt_mm::{known.config}'
    return Base(name, base, cfg, _find_family(cfg, name))


def _find_family(cfg: Config, name: str) -> str:
    model = cfg.get('model') or {}
    kind = model.get('type')
    backbone = model.get('backbone', {}).get('type')
    head = model.get('head', {}).get('type')
    if kind == 'BottomupPoseEstimator' and head == 'GroupPoseHead':
        return 'group-pose'
    if kind == 'MultiDatasetPoseEstimator' and 'dataset_names' in cfg:
        return 'vitpose-plus'
    is_crop = isinstance(cfg.get('codec'), dict) and 'val_pipeline' in cfg
    if kind in _CROPS and is_crop and head != 'CIDHead':
        return _BACKBONES.get(backbone, 'heatmap')
    names = ', '.join(list_models('*-[tsb]') + list_models('group-pose-*'))
    raise ValueError(
        f'{name} is a {kind} with a {head}, for which `gtpt-mm new` has no '
        f'recipe; it has one for GTPT, HEViTPose, ViTPose, ViTPose++ and '
        f'Group Pose, such as {names}'
    )
