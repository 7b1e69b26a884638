"""A converter: weights of the same network written in plain torch."""

from torch import Tensor

from gtpt_mm.convert import NameTable
from gtpt_mm.convert.names import rename_tensors

#: Native and foreign names, of every tensor of the model.
NAMES = NameTable(
    [
        ('backbone.stages.#.conv.*', 'features.#.0.*'),
        ('backbone.stages.#.bn.**', 'features.#.1.**'),
        ('head.fc.*', 'regressor.*'),
    ]
)


def from_torch(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return foreign weights under native names.

    Raises:
        ValueError: If a name is unknown.
    """
    return rename_tensors(state_dict, NAMES.native, 'the plain network')


def to_torch(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return native weights under foreign names.

    Raises:
        ValueError: If a name is unknown.
    """
    return rename_tensors(state_dict, NAMES.foreign, 'my_pose')
