"""A set in a folder of its own, as trainings read it.

::

    OUT/train.json, val.json, perhaps test.json    COCO keypoints
    OUT/metainfo.py                                 dataset_info of mmpose
    OUT/images/                                     the pictures
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from . import coco
from .keypoint_set import KeypointSet, Picture
from .metainfo import describe, write_metainfo
from .new_folder import check_new_folder, new_folder
from .split import SPLITS

METAINFO, IMAGES = 'metainfo.py', 'images'


@dataclass
class OwnSet:
    """A folder that :func:`write_folder` has written.

    Attributes:
        folder: The folder.
        metainfo: Its ``dataset_info``, in mmpose's layout.
        ann_files: The COCO file of each split that is there.
        image_folder: Folder of the pictures.
    """

    folder: Path
    metainfo: dict
    ann_files: dict[str, Path]
    image_folder: Path


def write_folder(
    keypoint_set: KeypointSet,
    out: Path,
    link: bool = False,
    overwrite: bool = False,
    metainfo: dict | None = None,
) -> OwnSet:
    """Write a set with splits; all of it or nothing.

    Pictures without a file are left out and counted; equal names in
    different folders stay apart.

    Args:
        keypoint_set: A set whose pictures have splits; what is left out is
            counted in it.
        out: The folder; made here.
        link: Whether pictures are linked instead of copied.
        overwrite: Whether a set that is there may be replaced.
        metainfo: What :func:`~.metainfo.describe` returned, perhaps for the
            set before it was split; None describes it now.

    Returns:
        The folder as :func:`read_folder` gives it.

    Raises:
        ValueError: If the folder may not be written, or a split is missing.
    """
    check_new_folder(out, overwrite, is_folder)
    drop_missing(keypoint_set)
    counts = Counter(p.split for p in keypoint_set.pictures)
    if not set(counts) <= set(SPLITS):
        raise ValueError('the set is not split; call split() first')
    if link:
        _check_links(keypoint_set, out)
    with new_folder(out, overwrite, is_folder) as folder:
        coco.write(keypoint_set, folder, link)
        write_metainfo(metainfo or describe(keypoint_set), folder / METAINFO)
    return read_folder(out)


def is_folder(path: Path) -> bool:
    """Return whether a folder is one of :func:`write_folder`."""
    return (path / METAINFO).is_file() and any(
        (path / f'{name}.json').is_file() for name in SPLITS
    )


def read_folder(out: Path) -> OwnSet:
    """Return what a folder of :func:`write_folder` holds.

    Raises:
        ValueError: If it is not such a folder.
    """
    from mmengine.config import Config

    out = Path(out)
    if not is_folder(out):
        raise ValueError(
            f'{out} is not a folder that `gtpt-mm data import` has written: '
            f'it lacks {METAINFO} or {" and ".join(SPLITS[:2])}.json'
        )
    config = Config.fromfile(str(out / METAINFO))
    if 'dataset_info' not in config:
        raise ValueError(f'{out / METAINFO} has no dataset_info')
    files = {name: out / f'{name}.json' for name in SPLITS}
    return OwnSet(
        folder=out,
        metainfo=config.dataset_info.to_dict(),
        ann_files={k: file for k, file in files.items() if file.is_file()},
        image_folder=out / IMAGES,
    )


def read_swap(path: Path) -> dict[str, str] | None:
    """Return the mirror partners of such a folder; None for any other."""
    if not is_folder(path):
        return None
    points = read_folder(path).metainfo['keypoint_info'].values()
    return {p['name']: p['swap'] for p in points if p.get('swap')}


def drop_missing(keypoint_set: KeypointSet) -> None:
    """Leave out pictures without a file, and count them.

    Raises:
        ValueError: If no picture is left.
    """
    pictures = keypoint_set.pictures
    kept = [p for p in pictures if _has_file(p)]
    if len(kept) < len(pictures):
        keypoint_set.dropped['pictures whose file was not found'] += len(
            pictures
        ) - len(kept)
    keypoint_set.pictures = kept
    if not kept:
        raise ValueError(
            f'no picture is left to write: {explain(keypoint_set)}; '
            '--images DIR tells where the pictures are'
        )


def _has_file(picture: Picture) -> bool:
    return picture.path is not None or picture.content is not None


def explain(keypoint_set: KeypointSet) -> str:
    """Return what was left out, in one line."""
    dropped = [f'{n:,} {what}' for what, n in keypoint_set.dropped.items()]
    return '; '.join(dropped) or 'the source holds none'


def _check_links(keypoint_set: KeypointSet, out: Path) -> None:
    """Raise if pictures would be linked to the folder that is replaced."""
    place = out.resolve()
    for picture in keypoint_set.pictures:
        path = picture.path
        if path is not None and path.resolve().is_relative_to(place):
            raise ValueError(
                f'{path} lies in {out}, which is replaced, so a link to it '
                'would lead nowhere; copy the pictures instead'
            )
