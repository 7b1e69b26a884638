"""SLEAP: ``.slp`` with the videos or pictures beside it, ``.pkg.slp`` with
the pictures in it; read through sleap-io.

Only labels made by a person are read. A point that is marked as not visible is
not a label, as in SLEAP's own trainings.
"""

# K keypoints

import contextlib
import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .extras import import_extra
from .keypoint_set import Instance, KeypointSet, Picture
from .pictures import PictureFinder, clean_name, mend_pictures, nearest

SOURCES = 'a .slp or .pkg.slp, or a folder with them (needs sleap-io)'
#: Frames of videos are stored as JPEG. PNG would keep pixels exactly that a
#: video codec has already rounded, and take ten times the memory.
JPEG_QUALITY = 95


def matches(path: Path) -> bool:
    """Return whether a path is a file of SLEAP or a folder with one."""
    return bool(_list_files(path))


def read(
    path: Path, images: Path | None = None, category: str | None = None
) -> KeypointSet:
    """Read all frames with labels of a person.

    Args:
        path: The file, or the folder.
        images: Folder of videos and pictures that are not where the file
            says; looked for beside it if None.
        category: Name of the skeleton, where there are several.

    Returns:
        The set. Each video is a group.

    Raises:
        ValueError: If there is no such file, it cannot be read, or the
            skeleton is not clear.
        MissingExtraError: If sleap-io is not installed.
    """
    files = _list_files(path)
    if not files:
        raise ValueError(f'{path}: no .slp or .pkg.slp here')
    found = KeypointSet([], [], format='sleap')
    titles: dict[str, str] = {}
    for file in files:
        with contextlib.closing(_load(file)) as labels:
            skeleton = _choose(labels, category, file)
            _describe(found, skeleton, file)
            finder = PictureFinder([images or file.resolve().parent])
            for frame in labels.labeled_frames:
                _add(found, frame, skeleton, (finder, titles))
    mend_pictures(found)
    return found


def _list_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob('*.slp'))
    return [path] if path.suffix == '.slp' and path.is_file() else []


def _load(file: Path) -> Any:
    """Return the Labels of a file."""
    sleap_io = import_extra('sleap_io', 'sleap', file.name)
    try:
        return sleap_io.load_slp(str(file), open_videos=True)
    except Exception as error:  # of h5py, json, attrs: each has its own
        raise ValueError(f'{file} is not a file of SLEAP: {error}') from error


def _choose(labels: Any, category: str | None, file: Path) -> Any:
    """Return the only skeleton in use, or that of the given name."""
    used = [i.skeleton for f in labels.labeled_frames for i in f.instances]
    skeletons = list({id(s): s for s in used or labels.skeletons}.values())
    chosen = [s for s in skeletons if category in (None, s.name)]
    if len({tuple(s.node_names) for s in chosen}) == 1:
        return chosen[0]
    listed = ', '.join(f'{s.name} ({len(s)} keypoints)' for s in skeletons)
    raise ValueError(
        f'{file} has the skeletons {listed or "(none)"}; choose one by '
        '--category NAME'
    )


def _describe(found: KeypointSet, skeleton: Any, file: Path) -> None:
    """Take the names, links and swap pairs of the first file."""
    names = list(skeleton.node_names)
    if not found.names:
        found.names = names
        found.links = [(a, b) for a, b in skeleton.edge_names]
        found.category = skeleton.name or found.category
        if skeleton.symmetries:
            pairs = [tuple(pair) for pair in skeleton.symmetry_names]
            found.swap = {a: b for p in pairs for a, b in (p, p[::-1])}
    elif set(names) != set(found.names):
        raise ValueError(
            f'{file}: keypoints {names} are not those of the other files, '
            f'{found.names}'
        )


def _add(
    found: KeypointSet,
    frame: Any,
    skeleton: Any,
    places: tuple[PictureFinder, dict[str, str]],
) -> None:
    """Add a frame, if a person labelled it.

    Args:
        found: The set, changed in place.
        frame: The frame.
        skeleton: The skeleton that is read.
        places: Where videos and pictures are; and the path of each group.
    """
    predicted = len(frame.predicted_instances)
    if predicted:
        found.dropped['instances that SLEAP predicted'] += predicted
    names = skeleton.node_names
    same = [i for i in frame.user_instances if i.skeleton.node_names == names]
    others = len(frame.user_instances) - len(same)
    if others:
        found.dropped['instances of other skeletons'] += others
    order = [names.index(name) for name in found.names]
    instances = list(_instances(same, order, found))
    if not instances and not getattr(frame, 'is_negative', False):
        found.dropped['frames without a label of a person'] += 1
        return
    picture = _picture(frame, *places)
    picture.instances = instances
    found.pictures.append(picture)


def _instances(
    instances: list, order: list[int], found: KeypointSet
) -> Iterator[Instance]:
    """Yield the instances with labels."""
    for instance in instances:
        points = instance.numpy(invisible_as_nan=False)[order]
        is_seen = instance.points['visible'][order].astype(bool)
        is_placed = np.isfinite(points).all(1)
        hidden = int((is_placed & ~is_seen).sum())
        if hidden:
            found.dropped['points marked as not visible'] += hidden
        is_labelled = is_placed & is_seen
        if not is_labelled.any():
            found.dropped['instances without a label'] += 1
            continue
        yield Instance(
            keypoints=np.where(is_labelled[:, None], points, 0.0),
            visible=np.where(is_labelled, 2, 0),
            track=instance.track.name if instance.track else '',
        )


def _picture(
    frame: Any, finder: PictureFinder, titles: dict[str, str]
) -> Picture:
    """Return the picture of a frame: a file, or pixels of a video."""
    video, number = frame.video, int(frame.frame_idx)
    # a missing video is false
    source = video if video.source_video is None else video.source_video
    if isinstance(source.filename, list):  # pictures
        path = clean_name(str(source.filename[number]))
        folder, _, last = path.rpartition('/')
        group = _title(folder, titles)
        name = f'{group}/{last}' if group else last
    else:
        group = _title(clean_name(str(source.filename)), titles)
        name = f'{group}/{number:06d}'
    height, width = (video.shape or (0, 0, 0, 0))[1:3]
    picture = Picture(
        name=name, width=width, height=height, group=group, id=name
    )
    is_crop = getattr(video, 'is_cropped', False)
    if isinstance(video.filename, list) and not is_crop:
        picture.path = finder.find(str(video.filename[number]))
        picture.width = picture.height = 0  # each file has its own
        return picture
    if not video.exists():
        _reopen(video, finder)
    suffix, pixels = '.png', None
    with contextlib.suppress(Exception):  # the backend of each video differs
        pixels = np.asarray(video[number])
    if pixels is not None:
        if not getattr(video.backend, 'has_embedded_images', False):
            suffix = '.jpg'
        picture.content = _encode(pixels, suffix)
        picture.height, picture.width = pixels.shape[:2]
    picture.name = str(Path(name).with_suffix('')) + suffix
    return picture


def _title(path: str, titles: dict[str, str]) -> str:
    """Return the shortest end of a path that no other video shares.

    The beginning of a path depends on the machine, but videos of several
    sessions often have the same name in separate folders.
    """
    parts = path.split('/')
    for num in range(1, len(parts) + 1):
        title = '/'.join(parts[-num:])
        if titles.setdefault(title, path) == path:
            return title
    return path


def _reopen(video: Any, finder: PictureFinder) -> None:
    """Open a video that lies elsewhere than its file says."""
    name = clean_name(str(video.filename))
    pattern = glob.escape(name.rpartition('/')[2])
    paths = [p for folder in finder.folders for p in folder.rglob(pattern)]
    path = nearest(paths, name)
    if path is not None:
        with contextlib.suppress(Exception):
            video.replace_filename(str(path), open=True)


def _encode(pixels: np.ndarray, suffix: str) -> bytes:
    """Return the file of a picture, (h, w, 1) or RGB (h, w, 3)."""
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        pixels = np.ascontiguousarray(pixels[..., ::-1])
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, content = cv2.imencode(
        suffix, pixels, options if suffix == '.jpg' else []
    )
    return content.tobytes()
