"""Check skeletons (metainfo) when they are parsed.

Broken: ``parse_pose_metainfo`` of mmpose (<= 1.3.2) takes its own file of the
same name where the given one does not exist, leaves the lengths of ``sigmas``
and ``joint_weights`` unchecked, and fails on a misspelt name or a missing key
with a bare KeyError or an AssertionError without text. It takes flip indices
from the order of the keypoints instead of their keys; mmengine writes configs
with keys sorted as text: 0, 1, 10, 11, 2.

Here: every caller in mmpose gets :func:`parse_metainfo`, which sorts keypoints
by their keys, checks the skeleton and names every mistake. Files that mmpose
ships are not checked.

Can go: when mmpose checks a skeleton and sorts its keypoints.
"""

import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

#: Folder of skeletons in the paths of mmpose's own classes.
STOCK_METAINFO = Path('configs/_base_/datasets')
REQUIRED = (
    'dataset_name',
    'keypoint_info',
    'skeleton_info',
    'joint_weights',
    'sigmas',
)


class MetainfoError(ValueError):
    """A skeleton that cannot be used."""


class MissingMetainfoError(FileNotFoundError, MetainfoError):
    """The file of a skeleton does not exist."""


def parse_metainfo(metainfo: str | dict) -> dict:
    """Check a skeleton, then parse it with ``parse_pose_metainfo``.

    Args:
        metainfo: A file, or a dict for ``parse_pose_metainfo``.

    Raises:
        MissingMetainfoError: If there is no such file. mmpose would take its
            file of that name instead.
        MetainfoError: If keys are missing, names are unknown or lengths
            differ.
    """
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    stock = getattr(parse_pose_metainfo, 'stock', parse_pose_metainfo)
    if isinstance(metainfo, str):
        metainfo = dict(from_file=metainfo)
    return _parse(stock, metainfo)


def _parse(stock: Callable[[dict], dict], metainfo: dict) -> dict:
    file = metainfo.get('from_file')
    if not file:
        check_metainfo(metainfo, _title(metainfo, 'metainfo'))
        return stock(_sort(metainfo))
    if Path(file).parent == STOCK_METAINFO or _is_in_mmpose(file):
        with warnings.catch_warnings():
            # The path asks for mmpose's file.
            warnings.filterwarnings('ignore', 'The metainfo config file')
            return stock(metainfo)
    if not Path(file).is_file():
        raise MissingMetainfoError(
            f'the file of metainfo, {file!r}, does not exist; a relative path '
            f'starts at the current folder, {Path.cwd()}. For a skeleton of '
            f'mmpose write {STOCK_METAINFO}/NAME.py'
        )
    from mmengine.config import Config

    content = Config.fromfile(file).get('dataset_info')
    if content is None:
        raise MetainfoError(f'{file} has no dict named dataset_info')
    check_metainfo(content, file)
    return stock(_sort(content))


def _sort(metainfo: Mapping) -> dict:
    """Return a checked skeleton with keypoints and links sorted by keys."""
    keypoints = dict(sorted(metainfo['keypoint_info'].items()))
    links = metainfo['skeleton_info']
    if all(isinstance(key, int) for key in links):
        links = dict(sorted(links.items()))
    return {**metainfo, 'keypoint_info': keypoints, 'skeleton_info': links}


def _is_in_mmpose(file: str) -> bool:
    import mmpose

    folder = Path(mmpose.__file__).parent
    return Path(file).resolve().is_relative_to(folder.resolve())


def _title(metainfo: Mapping, word: str) -> str:
    return f'{word} {metainfo.get("dataset_name", "")!r}'


def check_metainfo(metainfo: Mapping, title: str) -> None:
    """Raise if a skeleton is incomplete or inconsistent.

    Args:
        metainfo: Keys as in ``dataset_info`` of mmpose's files.
        title: Name of the skeleton in messages.

    Raises:
        MetainfoError: With a list of all mistakes.
    """
    absent = [key for key in REQUIRED if metainfo.get(key) is None]
    if absent:
        raise MetainfoError(
            f'{title} lacks {", ".join(absent)}; needed are '
            f'{", ".join(REQUIRED)}. joint_weights is a weight for each '
            'keypoint, such as 1.0; skeleton_info may be {}'
        )
    keypoints = metainfo['keypoint_info']
    errors = _check_keypoints(keypoints)
    names = [point.get('name') for point in keypoints.values()]
    for key, link in metainfo['skeleton_info'].items():
        ends = link.get('link', ())
        if len(ends) != 2 or not set(ends) <= set(names):
            errors.append(
                f'skeleton_info[{key!r}]: link={ends!r} must be two of the '
                f'keypoints {names}'
            )
    errors += _check_lengths(metainfo, len(names))
    if errors:
        raise MetainfoError(
            f'{title} cannot be used:\n- ' + '\n- '.join(errors)
        )


def _check_keypoints(keypoints: Mapping) -> list[str]:
    errors = []
    if set(keypoints) != set(range(len(keypoints))):
        errors.append(
            f'the keys of keypoint_info must be the numbers 0, 1, ... '
            f'{len(keypoints) - 1}, got {list(keypoints)}'
        )
    swaps = {p.get('name'): p.get('swap', '') for p in keypoints.values()}
    if len(swaps) != len(keypoints) or None in swaps:
        names = [p.get('name') for p in keypoints.values()]
        errors.append(f'keypoint_info needs names, each once, got {names}')
    for name, swap in swaps.items():
        if swap in ('', name):
            continue
        if swap not in swaps:
            errors.append(
                f'keypoint {name!r}: swap={swap!r} is none of the keypoints '
                f'{list(swaps)}'
            )
        elif swaps[swap] != name:
            errors.append(
                f'keypoint {name!r}: swap={swap!r}, whose own swap is '
                f'{swaps[swap]!r}; both must name each other'
            )
    return errors


def _check_lengths(metainfo: Mapping, num: int) -> list[str]:
    """Compare lengths with the number of keypoints; no sigmas are allowed."""
    errors = []
    for key in ('joint_weights', 'sigmas'):
        try:
            values = np.array(metainfo[key], dtype=float)
        except (TypeError, ValueError):
            values = np.array(np.nan)
        if values.ndim != 1 or not np.isfinite(values).all():
            errors.append(f'{key} must be a list of numbers')
        elif len(values) != num and not (key == 'sigmas' and not len(values)):
            errors.append(
                f'{key} has {len(values)} values for {num} keypoints'
            )
        elif key == 'sigmas' and (values <= 0).any():
            errors.append('sigmas must be above 0')
    return errors


def missing() -> str:
    """Say what is missing."""
    return 'mmpose does not check skeletons, and replaces missing files'


def repair() -> None:
    """Let every caller of ``parse_pose_metainfo`` check first."""
    import mmpose.datasets  # noqa: F401
    from mmpose.datasets.datasets import utils

    stock = utils.parse_pose_metainfo

    def parse_pose_metainfo(metainfo: dict) -> dict:
        return _parse(stock, metainfo)

    parse_pose_metainfo.__doc__ = stock.__doc__
    vars(parse_pose_metainfo)['stock'] = stock
    for name, module in list(sys.modules.items()):
        is_stock = name.partition('.')[0] == 'mmpose'
        if is_stock and vars(module).get('parse_pose_metainfo') is stock:
            vars(module)['parse_pose_metainfo'] = parse_pose_metainfo
