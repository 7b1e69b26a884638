"""Keypoints to draw, by name or index."""

from collections.abc import Sequence

from gtpt_mm.models.backbones.keypoint_groups import KeypointGroups

#: Names of the dataset, or indices.
Keypoints = Sequence[str | int]


def find_keypoints(
    keypoints: Keypoints, dataset_meta: dict, groups: KeypointGroups
) -> dict[str, int]:
    """Return keypoints, index by name.

    Args:
        keypoints: Names or indices (also as digits).
        dataset_meta: Meta information of the dataset, with
            ``keypoint_name2id``.
        groups: Keypoints of the model.

    Raises:
        ValueError: If there is no keypoint of that name or index, or the
            list is empty.

    Example:
        >>> groups = KeypointGroups([dict(sparse=[0, 1])])
        >>> meta = dict(keypoint_name2id=dict(nose=0, left_wrist=1))
        >>> find_keypoints(['left_wrist', '0'], meta, groups)
        {'left_wrist': 1, 'nose': 0}
    """
    if not len(keypoints):
        raise ValueError('got no keypoints; name at least one')
    index_of = dataset_meta['keypoint_name2id']
    name_of = {index: name for name, index in index_of.items()}
    found = {}
    for keypoint in keypoints:
        if keypoint in index_of:
            index = index_of[keypoint]
        elif str(keypoint).isdigit():
            index = int(keypoint)
        else:
            raise ValueError(
                f'no keypoint {keypoint!r}; choose an index or one of '
                f'{_shorten(list(index_of))}'
            )
        groups.check_indices([index])
        found[name_of.get(index, str(index))] = index
    return found


def _shorten(names: list[str], most: int = 40) -> str:
    """Join names; if there are very many, only the first."""
    rest = len(names) - most
    more = f', ... ({rest} more)' if rest > 0 else ''
    return ', '.join(names[:most]) + more
