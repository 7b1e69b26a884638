"""DeepLabCut: ``CollectedData_SCORER.csv`` or ``.h5``, a folder or a project.

A table has a row for each picture. Its columns have three or four header
rows: scorer, individuals (of several animals only), bodyparts, coords (x, y
and perhaps likelihood). Pixels; an empty cell is no label. A row begins with
the path of the picture, in one column or in three ('labeled-data', video,
file). ``config.yaml`` of the project has the skeleton.

A csv is preferred to the h5 beside it: they hold the same, and an h5 file may
run foreign code when it is read.
"""

# N rows, C columns, K keypoints

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from .extras import import_extra
from .keypoint_set import Instance, KeypointSet, Picture
from .pictures import SUFFIXES, PictureFinder, clean_name, mend_pictures

SOURCES = (
    'CollectedData_*.csv or .h5, the folder with it, labeled-data or a project'
)
LEVELS = ('scorer', 'individuals', 'bodyparts', 'coords')
#: Individual under which DeepLabCut files points that occur once a picture.
UNIQUE = 'single'
H5_MARK = b'\x89HDF\r\n\x1a\n'


@dataclass
class _Table:
    """Content of one file.

    Attributes:
        columns: (individual, body part, coordinate) of each column.
        rows: Path of the picture of each row.
        values: (N, C); NaN where there is no label.
    """

    columns: list[tuple[str, str, str]]
    rows: list[str]
    values: np.ndarray


def matches(path: Path) -> bool:
    """Return whether a path is a table of DeepLabCut or a folder with one."""
    if path.is_dir() or path.name == 'config.yaml':
        return bool(_list_files(path))
    if path.suffix == '.csv':
        return _is_table(path)
    return path.suffix == '.h5' and bool(
        re.search('CollectedData|machinelabels|DLC', path.name)
    )


def read(path: Path, images: Path | None = None) -> KeypointSet:
    """Read all tables of a path.

    Args:
        path: A table, the folder of a video, ``labeled-data``, the folder of
            a project or its ``config.yaml``.
        images: Folder of the pictures; looked for beside the table if None.

    Returns:
        The set. Where two scorers labelled a picture, it occurs twice.

    Raises:
        ValueError: If there is no table, or it holds no labels of pictures.
        MissingExtraError: If a package for h5 files is not installed.
    """
    files = [path] if _is_file(path) else _list_files(path)
    if not files:
        raise ValueError(f'{path}: no CollectedData_*.csv or .h5 here')
    tables = [_load(file) for file in files]
    config = _read_config(files[0])
    parts = [part for table in tables for _, part, _ in _columns(table)]
    found = KeypointSet(list(dict.fromkeys(parts)), [], format='deeplabcut')
    for file, table in zip(files, tables, strict=True):
        _add(found, table, PictureFinder(_folders(file, images)), file)
    found.links = _links(config, found)
    found.category = str(config.get('Task') or 'animal')
    mend_pictures(found)
    return found


def _is_file(path: Path) -> bool:
    return path.is_file() and path.name != 'config.yaml'


def _is_table(path: Path) -> bool:
    """Return whether a csv begins as DeepLabCut's do."""
    try:
        with open(path, encoding='utf-8-sig') as lines:
            heads = [lines.readline().split(',')[0].strip() for _ in range(4)]
    except (OSError, UnicodeDecodeError):
        return False
    return heads[0] == 'scorer' and 'bodyparts' in heads and 'coords' in heads


def _list_files(path: Path) -> list[Path]:
    """Return the tables of a folder, csv before h5 of the same name.

    The tables of a project lie in ``labeled-data``; copies in
    ``training-datasets`` are ignored.
    """
    folder = path.parent if path.is_file() else path
    inner = folder / 'labeled-data'
    here = _tables(folder)
    if here and not (folder / 'config.yaml').is_file():
        return here
    base = inner if inner.is_dir() else folder
    subfolders = sorted(f for f in base.iterdir() if f.is_dir())
    return [f for sub in subfolders for f in _tables(sub)] or here


def _tables(folder: Path) -> list[Path]:
    """Return the tables that lie in one folder."""
    found = sorted(
        path
        for path in folder.glob('CollectedData*')
        if path.suffix == '.h5' or (path.suffix == '.csv' and _is_table(path))
    )
    return [
        path
        for path in found
        if path.suffix == '.csv' or path.with_suffix('.csv') not in found
    ]


def _read_config(file: Path) -> dict:
    """Return the config of the project that a table lies in; {} if none."""
    for folder in list(file.resolve().parents)[:3]:
        config = folder / 'config.yaml'
        if config.is_file():
            try:
                content = yaml.safe_load(config.read_text(encoding='utf-8'))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise ValueError(f'{config} is not YAML: {error}') from error
            if isinstance(content, dict) and 'scorer' in content:
                return content
    return {}


def _links(config: dict, found: KeypointSet) -> list[tuple[str, str]]:
    """Return the pairs of the config whose names are keypoints."""
    links = []
    for pair in config.get('skeleton') or []:
        if isinstance(pair, list) and len(pair) == 2:
            a, b = map(str, pair)
            if a != b and {a, b} <= set(found.names):
                links.append((a, b))
                continue
        found.dropped['links of config.yaml without labelled ends'] += 1
    return links


def _load(file: Path) -> _Table:
    """Read a table of either kind.

    Raises:
        ValueError: If it cannot be read, or is the result of an analysis.
    """
    with open(file, 'rb') as stream:
        is_h5 = stream.read(8) == H5_MARK
    table = _load_h5(file) if is_h5 else _load_csv(file)
    if not any(Path(row).suffix.lower() in SUFFIXES for row in table.rows):
        rows = f'the first is {table.rows[0]!r}' if table.rows else 'none'
        raise ValueError(
            f'{file}: its rows are not pictures ({rows}). Results of '
            'analyze_videos number the frames of a video and are not labels: '
            'give CollectedData_*.csv, or label frames first'
        )
    return table


def _load_csv(file: Path) -> _Table:
    """Read a csv by its header, with one or three columns of the picture."""
    with open(file, encoding='utf-8-sig', newline='') as lines:
        rows = [row for row in csv.reader(lines) if row]
    num = 0
    header: dict[str, list[str]] = {}
    for row in rows:
        if row[0].strip() not in LEVELS:
            break
        header[row[0].strip()] = row
        num += 1
    absent = {'scorer', 'bodyparts', 'coords'} - header.keys()
    if absent:
        raise ValueError(
            f'{file}: no header rows {", ".join(sorted(absent))}; tables of '
            'DeepLabCut have them'
        )
    first = next(
        (k for k, cell in enumerate(header['coords']) if k and cell), 1
    )
    empty = [''] * len(rows[0])
    individuals, parts, coords = (
        [cell.strip() for cell in header.get(level, empty)[first:]]
        for level in LEVELS[1:]
    )
    columns = list(zip(individuals, parts, coords, strict=True))
    paths, values = [], []
    for line, row in enumerate(rows[num:], num + 1):
        cells = row[first:]
        path = '/'.join(cell.strip() for cell in row[:first])
        is_picture = Path(path).suffix.lower() in SUFFIXES
        if not is_picture and not any(cells):
            continue  # pandas: names of the index
        if len(cells) != len(columns):
            raise ValueError(
                f'{file}, row {line}: {len(cells)} values for '
                f'{len(columns)} columns'
            )
        paths.append(path)
        values.append([_number(cell, file, line) for cell in cells])
    return _Table(columns, paths, np.array(values, float))


def _number(cell: str, file: Path, line: int) -> float:
    """Return a number; NaN for an empty cell."""
    try:
        return float(cell) if cell.strip() else np.nan
    except ValueError as error:
        words = f'{cell!r} is not a number'
        raise ValueError(f'{file}, row {line}: {words}') from error


def _load_h5(file: Path) -> _Table:
    """Read the only table of an h5 file by pandas."""
    pandas = import_extra('pandas', 'deeplabcut', f'{file.name} (h5)')
    import_extra('tables', 'deeplabcut', f'{file.name} (h5)')
    try:
        frame = pandas.read_hdf(file)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(
            f'{file} is not a table of DeepLabCut: {error}'
        ) from error
    levels = list(getattr(frame, 'columns', frame.index).names)
    if not {'bodyparts', 'coords'} <= set(levels):
        raise ValueError(
            f'{file} is not a table of DeepLabCut: its columns are {levels}'
        )
    individuals, parts, coords = (
        [
            '' if level not in levels else str(column[levels.index(level)])
            for column in frame.columns
        ]
        for level in LEVELS[1:]
    )
    columns = list(zip(individuals, parts, coords, strict=True))
    rows = [
        '/'.join(map(str, row)) if isinstance(row, tuple) else str(row)
        for row in frame.index
    ]
    return _Table(columns, rows, frame.to_numpy(dtype=float))


def _columns(table: _Table) -> list[tuple[str, str, str]]:
    """Return the columns of animals: not those of points of the scene."""
    animals = {individual for individual, _, _ in table.columns}
    if len(animals) == 1:
        return table.columns
    return [column for column in table.columns if column[0] != UNIQUE]


def _add(
    found: KeypointSet, table: _Table, finder: PictureFinder, file: Path
) -> None:
    """Add the pictures of a table."""
    columns = _columns(table)
    number_of = {column: k for k, column in enumerate(table.columns)}
    animals = dict.fromkeys(animal for animal, _, _ in columns)
    scene = {part for _, part, _ in table.columns} - {p for _, p, _ in columns}
    if scene:
        found.dropped[
            f"points of the scene (individual '{UNIQUE}': "
            f'{", ".join(sorted(scene))}), by picture'
        ] += len(table.rows)
    for row, values in zip(table.rows, table.values, strict=True):
        picture = _picture(row, finder)
        for animal in animals:
            block = np.full((len(found.names), 3), np.nan)
            for k, part in enumerate(found.names):
                for c, coordinate in enumerate(('x', 'y', 'likelihood')):
                    place = number_of.get((animal, part, coordinate))
                    if place is not None:
                        block[k, c] = values[place]
            instance = _instance(block, animal)
            if instance is not None:
                picture.instances.append(instance)
        if picture.instances:
            found.pictures.append(picture)
        else:
            found.dropped['pictures without a label'] += 1


def _instance(block: np.ndarray, animal: str) -> Instance | None:
    """Return an animal of (x, y, likelihood), (K, 3); None without labels."""
    is_labelled = np.isfinite(block[:, :2]).all(1)
    if not is_labelled.any():
        return None
    instance = Instance(
        keypoints=np.where(is_labelled[:, None], block[:, :2], 0.0),
        visible=np.where(is_labelled, 2, 0),
        track=animal if animal != UNIQUE else '',
    )
    scores = block[:, 2]
    if np.isfinite(scores[is_labelled]).any():  # labels of a machine
        instance.keypoint_scores = np.where(
            is_labelled, np.nan_to_num(scores), 0.0
        )
        instance.score = float(instance.keypoint_scores[is_labelled].mean())
    return instance


def _picture(row: str, finder: PictureFinder) -> Picture:
    """Return the picture of a row; its folder is the video."""
    name = clean_name(row)
    short = name.removeprefix('labeled-data/')
    video = short.rpartition('/')[0]
    return Picture(
        name=short,
        width=0,
        height=0,
        path=finder.find(name) or finder.find(short),
        id=name,
        group=video,
    )


def _folders(file: Path, images: Path | None) -> list[Path]:
    """Return where the pictures of a table may be, the likeliest first."""
    if images is not None:
        return [images, images / 'labeled-data']
    here = file.resolve().parent
    return [here, *_above(here)]


def _above(folder: Path) -> Iterator[Path]:
    """Yield the folders of the project that a table lies in."""
    if folder.parent.name == 'labeled-data':
        yield folder.parent.parent
