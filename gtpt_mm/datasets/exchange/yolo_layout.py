"""Where a YOLO-pose set keeps pictures and labels, and what it names."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .pictures import (
    PictureFinder,
    clean_name,
    is_picture,
    list_pictures,
)
from .split import find_split

#: Keys under which tools write the names of keypoints.
NAMES = ('kpt_names', 'keypoint_names', 'node_names', 'keypoints')
#: Names of the splits in different tools.
KEYS = dict(
    train='train', val='val', valid='val', validation='val', test='test'
)


@dataclass
class Layout:
    """Content of a yaml or, without one, of a folder.

    Attributes:
        root: Folder that paths are relative to.
        entries: Folders, lists and patterns of pictures of each split.
        classes: Names of the classes by number.
        names: Names of the keypoints, if they are written.
        shape: K and the number of values of a keypoint; 0 if unknown.
        flip: ``flip_idx``; empty if there is none.
        links: Pairs of keypoint numbers that are joined.
        absent: Paths in the yaml that do not exist.
        num_lost: Number of pictures in lists that do not exist.
    """

    root: Path
    entries: dict[str, list[str]]
    classes: dict[int, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    shape: tuple[int, int] = (0, 0)
    flip: list[int] = field(default_factory=list)
    links: list[tuple[int, int]] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    num_lost: int = 0


@dataclass
class Entry:
    """A picture of a set, and the file of its rows, if there is one."""

    split: str
    image: Path
    folder: Path
    label: Path | None = None


def find_yaml(path: Path) -> Path | None:
    """Return the yaml of a set: the path, or the only one in the folder."""
    if path.is_file():
        is_yaml = path.suffix.lower() in ('.yaml', '.yml')
        return path if is_yaml and _is_set(_load(path)) else None
    if not path.is_dir():
        return None
    files = sorted([*path.glob('*.yaml'), *path.glob('*.yml')])
    files = [file for file in files if _is_set(_load(file))]
    if len(files) > 1:
        raise ValueError(
            f'{path} holds several sets: {", ".join(f.name for f in files)}; '
            'name one of these files'
        )
    return files[0] if files else None


def _load(file: Path) -> dict:
    """Return the content of a yaml; {} if it is no mapping."""
    try:
        content = yaml.safe_load(file.read_text(encoding='utf-8-sig'))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_set(content: dict) -> bool:
    """Return whether a yaml is of a set; old ones have no ``kpt_shape``."""
    return 'kpt_shape' in content or {'train', 'names'} <= content.keys()


def read_yaml(file: Path) -> Layout:
    """Read a yaml.

    Raises:
        ValueError: If a value cannot be what it must be.
    """
    content = _load(file)
    root, absent = file.parent, []
    if content.get('path'):
        written = Path(str(content['path'])).expanduser()
        options = [p for p in (root / written, written) if p.is_dir()]
        absent = [] if options else [f'path: {written}']
        root = next(iter(options), root)
    entries: dict[str, list[str]] = {}
    for key, split in KEYS.items():
        value = content.get(key)
        listed = value if isinstance(value, list) else [value]
        entries.setdefault(split, []).extend(map(str, filter(None, listed)))
    shape = _numbers(content.get('kpt_shape', (0, 2)), 'kpt_shape', file)
    is_good = len(shape) == 2 and shape[0] > 0 and shape[1] in (2, 3)
    if 'kpt_shape' in content and not is_good:
        raise ValueError(
            f'{file}: kpt_shape must be [K, 2] or [K, 3], not {shape}'
        )
    return Layout(
        root=root,
        entries=entries,
        classes=_classes(content.get('names')),
        names=_keypoint_names(content),
        shape=(shape[0], shape[1]),
        flip=_numbers(content.get('flip_idx') or [], 'flip_idx', file),
        links=_links(content.get('skeleton')),
        absent=absent,
    )


def _numbers(value: Any, key: str, file: Path) -> list[int]:
    try:
        return [int(v) for v in value]
    except (TypeError, ValueError):
        raise ValueError(
            f'{file}: {key} must be a list of numbers, not {value!r}'
        ) from None


def _classes(value: Any) -> dict[int, str]:
    """Return the names of the classes, written as a list or by number."""
    if isinstance(value, dict):
        return {int(key): str(name) for key, name in value.items()}
    return dict(enumerate(map(str, value or [])))


def _keypoint_names(content: dict) -> list[str]:
    """Return the names of the keypoints: a list, or one for each class."""
    for key in NAMES:
        value = content.get(key)
        if isinstance(value, dict) and value:
            first = next(iter(value.values()))
            value = first if isinstance(first, list) else list(value.values())
        if isinstance(value, list) and value:
            return [str(name) for name in value]
    return []


def _links(value: Any) -> list[tuple[int, int]]:
    """Return the joined pairs, counted from 0."""
    pairs = value if isinstance(value, list) else []
    return [
        (int(pair[0]), int(pair[1]))
        for pair in pairs
        if isinstance(pair, list) and len(pair) == 2
    ]


def guess_layout(path: Path) -> Layout:
    """Return the layout of a folder without a yaml."""
    classes = path / 'classes.txt'
    lines = classes.read_text().split('\n') if classes.is_file() else []
    names = [line.strip() for line in lines if line.strip()]
    return Layout(path, {'': ['.']}, classes=dict(enumerate(names)))


def list_entries(layout: Layout, images: Path | None) -> list[Entry]:
    """Return the pictures of all splits and their label files.

    Args:
        layout: Where to look; missing paths are noted in it.
        images: Folder of the pictures, if it is not beside the labels.

    Raises:
        ValueError: If an entry of train leads nowhere, or all do. A yaml of
            Roboflow names a test even where there is none.
    """
    entries: dict[tuple[str, Path], Entry] = {}
    absent: list[str] = []
    for split, written in layout.entries.items():
        for text in written:
            found = _expand(text, layout, images)
            if found is None:
                absent.append(f'{split}: {text}')
            for image, folder, label in found or ():
                own = split or find_split(image, layout.root)
                entry = Entry(own, image, folder, label)
                entries.setdefault((own, image), entry)
    is_lost = any(text.startswith('train: ') for text in absent)
    if absent and (is_lost or not entries):
        listed = ', '.join([*layout.absent, *absent])
        raise ValueError(
            f'{listed}: no such folder or list of pictures in {layout.root}'
        )
    layout.absent = absent
    return list(entries.values())


def _expand(
    text: str, layout: Layout, images: Path | None
) -> list[tuple[Path, Path, Path | None]] | None:
    """Return the pictures of one entry, their folder and their labels.

    Returns:
        A list; None for an entry that is not there.
    """
    root = layout.root
    # Roboflow writes one '../' too many; others write paths of their machine
    parts = clean_name(text).split('/')
    ends = range(max(len(parts) - 1, 1))
    options = [root / text, *(root.joinpath(*parts[k:]) for k in ends)]
    path = next((p for p in options if p.exists()), root / text)
    if path.is_file():
        return _expand_list(path, layout, images)
    if path.is_dir():
        listed, folder = list_pictures(path), path
    elif '*' in text:
        found = root.glob('/'.join(parts))
        listed, folder = sorted(filter(is_picture, found)), root
    else:
        return None
    return [(image, folder, find_label(image)) for image in listed]


def _expand_list(
    path: Path, layout: Layout, images: Path | None
) -> list[tuple[Path, Path, Path | None]]:
    """Return the pictures that a text file lists, as :func:`_expand`.

    Labels lie beside the pictures or, if these were moved, beside the listed
    path.
    """
    root = layout.root
    finder = PictureFinder([f for f in (images, path.parent, root) if f])
    found = []
    for line in path.read_text(encoding='utf-8-sig').splitlines():
        image = finder.find(line.strip())
        if image is not None:
            written = root / clean_name(line.strip())
            label = find_label(image) or find_label(written)
            found.append((image, images or root, label))
        elif line.strip():
            layout.num_lost += 1
    return found


def find_label(image: Path) -> Path | None:
    """Return the text file of a picture: in labels/, or beside it."""
    folders = image.parts[:-1]
    options = [image.with_suffix('.txt')]
    for k in range(len(folders) - 1, -1, -1):
        if folders[k] == 'images':
            parts = (*folders[:k], 'labels', *folders[k + 1 :], image.name)
            options.insert(0, Path(*parts).with_suffix('.txt'))
            break
    return next((path for path in options if path.is_file()), None)


def has_labels(path: Path) -> bool:
    """Return whether a folder holds rows with keypoints, by one of them."""
    if not path.is_dir():
        return False
    parts = ('labels', *KEYS)
    files = [f for p in parts for f in sorted((path / p).rglob('*.txt'))]
    for file in [*files, *sorted(path.glob('*.txt'))]:
        row = next(iter(read_rows(file)), [])
        try:
            numbers = [float(value) for value in row]
        except ValueError:
            continue
        if numbers:
            return len(numbers) > 6 and numbers[0].is_integer()
    return False


def read_rows(file: Path) -> list[list[str]]:
    """Return the rows of a text file, split at blanks."""
    try:
        text = file.read_text(encoding='utf-8-sig')
    except (OSError, UnicodeDecodeError):
        return []
    return [line.split() for line in text.splitlines() if line.strip()]
