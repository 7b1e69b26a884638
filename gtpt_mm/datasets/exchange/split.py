"""Split a set into train and val: seeded, by group, no picture in both."""

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from .keypoint_set import KeypointSet, Picture

SPLITS = ('train', 'val', 'test')
WORDS = dict(
    train='train',
    training='train',
    val='val',
    valid='val',
    validation='val',
    dev='val',
    test='test',
    testing='test',
)
#: A group is not put into val if val then exceeds its share by this factor.
MOST = 1.5


def find_split(path: Path, source: Path = Path()) -> str:
    """Return the split in the name of a file or its folders, or ''.

    Args:
        path: The file.
        source: The path that is read; folders above it are ignored.

    Example:
        >>> find_split(Path('annotations/person_keypoints_val2017.json'))
        'val'
        >>> find_split(Path('bees/valid/_annotations.coco.json'))
        'val'
    """
    inside = Path(path.name)
    if source.is_dir() and path.is_relative_to(source):
        inside = path.relative_to(source)
    for part in (inside.stem, *(folder.name for folder in inside.parents)):
        found = {
            WORDS[word]
            for word in re.findall('[a-z]+', part.lower())
            if word in WORDS
        }
        if len(found) == 1:
            return found.pop()
    return ''


def split(
    keypoint_set: KeypointSet,
    val: float = 0.2,
    seed: int = 0,
    by: str = 'auto',
) -> KeypointSet:
    """Give every picture a split.

    Where the source has train and val, it keeps them; pictures of train with
    the same content as one of val or test, and pictures listed twice, are
    left out of train. Otherwise, and where that would leave no train, val is
    drawn from all pictures that are not test; equal contents and equal groups
    stay together.

    Args:
        keypoint_set: Changed in place: the split of each picture.
        val: Share of the pictures for val, in (0, 1).
        seed: Seed of the drawing; the same pictures give the same splits.
        by: 'group' or 'picture'; 'auto' takes groups where there are at
            least two and val comes near its share.

    Returns:
        The set.

    Raises:
        ValueError: If there are too few pictures or groups, or val and test
            hold all pictures of train.
    """
    if not 0 < val < 1:
        raise ValueError(
            f'the share of val must lie between 0 and 1, not {val}'
        )
    if by not in ('auto', 'group', 'picture'):
        raise ValueError(
            f"by must be 'auto', 'group' or 'picture', not {by!r}"
        )
    contents = _read_contents(keypoint_set.pictures)
    _join(keypoint_set, contents)
    splits = {picture.split for picture in keypoint_set.pictures}
    if len(splits) == 1:  # split this part again
        for picture in keypoint_set.pictures:
            picture.split = ''
    if not {'train', 'val'} <= splits:
        _draw(keypoint_set, contents, val, seed, by)
    else:
        keypoint_set.notes.append('the split is that of the source')
    for picture in keypoint_set.pictures:
        picture.split = picture.split or 'train'
    _separate(keypoint_set, contents)
    if not any(picture.split == 'train' for picture in keypoint_set.pictures):
        shared = keypoint_set.dropped.items()
        raise ValueError(
            'no picture is left for train, because the splits of the source '
            f'share them: {"; ".join(f"{n:,} {what}" for what, n in shared)}. '
            'Import a source with one file for each split'
        )
    return keypoint_set


def _join(keypoint_set: KeypointSet, contents: dict[int, str]) -> None:
    """Clear the splits if val also holds all pictures of train."""
    pictures = keypoint_set.pictures
    held = {contents[id(p)] for p in pictures if p.split == 'val'}
    train = [contents[id(p)] for p in pictures if p.split == 'train']
    if not train or not held.issuperset(train):
        return
    keypoint_set.notes.append(
        'val of the source holds all pictures of train: a new val was drawn'
    )
    keypoint_set.pictures = [p for p in pictures if p.split != 'train']
    for picture in keypoint_set.pictures:
        picture.split = picture.split if picture.split == 'test' else ''


def _read_contents(pictures: list[Picture]) -> dict[int, str]:
    """Return, by ``id()``, a name that pictures of equal content share."""
    sizes = {id(picture): _size(picture) for picture in pictures}
    numbers = Counter(sizes.values())
    return {
        id(p): _hash(p) if numbers[sizes[id(p)]] > 1 else str(sizes[id(p)])
        for p in pictures
    }


def _size(picture: Picture) -> int | str:
    """Return the bytes of a picture; its name if the file is missing."""
    if picture.content is not None:
        return len(picture.content)
    if picture.path is not None:
        return picture.path.stat().st_size
    return f'name {picture.name}'


def _hash(picture: Picture) -> str:
    """Return the hash of a picture; its name if the file is missing."""
    if picture.content is not None:
        return hashlib.sha256(picture.content).hexdigest()
    if picture.path is None:
        return f'name {picture.name}'
    with open(picture.path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def _separate(keypoint_set: KeypointSet, contents: dict[int, str]) -> None:
    """Let no content be in two splits: test wins over val, val over train."""
    taken: dict[str, str] = {}
    for name in reversed(SPLITS):
        for picture in keypoint_set.pictures:
            if picture.split == name:
                taken.setdefault(contents[id(picture)], name)
    kept = []
    for picture in keypoint_set.pictures:
        owner = taken[contents[id(picture)]]
        if owner == picture.split:
            kept.append(picture)
        else:
            keypoint_set.dropped[
                f'pictures of {picture.split} that are in {owner} as well'
            ] += 1
    keypoint_set.pictures = kept


def _draw(
    keypoint_set: KeypointSet,
    contents: dict[int, str],
    val: float,
    seed: int,
    by: str,
) -> None:
    """Draw val from the pictures that are not test."""
    pictures = [p for p in keypoint_set.pictures if p.split != 'test']
    groups = {picture.group for picture in pictures}
    by_group = by == 'group' or (by == 'auto' and len(groups) > 1)
    if by == 'group' and len(groups) < 2:
        raise ValueError(
            'the source names fewer than two groups (videos, sessions), so it '
            'cannot be split by group; use --split-by picture'
        )
    bundles = _bundle(pictures, contents, by_group)
    num = max(round(val * len(pictures)), 1)
    chosen = _choose(bundles, num, seed)
    if by == 'auto' and by_group and not _is_near(chosen, num):
        keypoint_set.notes.append(
            f'split by picture: the {len(groups)} groups of the source are '
            'too uneven for a val of the requested size'
        )
        chosen = _choose(_bundle(pictures, contents, False), num, seed)
    for picture in pictures:
        picture.split = 'train'
    for picture in chosen:
        picture.split = 'val'
    if not 0 < len(chosen) < len(pictures):
        raise ValueError(
            f'{len(pictures)} pictures with {len(bundles)} different contents '
            'or groups cannot be split into train and val; annotate at least '
            'two that differ'
        )
    keypoint_set.notes.append(
        f'val was drawn: {len(chosen):,} of {len(pictures):,} pictures, seed '
        f'{seed}'
    )


def _is_near(chosen: list[Picture], num: int) -> bool:
    return num / 2 <= len(chosen) <= MOST * num


def _bundle(
    pictures: list[Picture], contents: dict[int, str], by_group: bool
) -> list[list[Picture]]:
    """Return the pictures that must stay together, in a fixed order."""
    parents: dict[str, str] = {}

    def find(key: str) -> str:
        while parents.setdefault(key, key) != key:
            key = parents[key]
        return key

    for picture in pictures:
        keys = [f'content {contents[id(picture)]}']
        if by_group and picture.group:
            keys.append(f'group {picture.group}')
        for key in keys[1:]:
            parents[find(keys[0])] = find(key)
    bundles: dict[str, list[Picture]] = {}
    for picture in pictures:
        root = find(f'content {contents[id(picture)]}')
        bundles.setdefault(root, []).append(picture)
    return sorted(bundles.values(), key=_first_name)


def _first_name(pictures: Iterable[Picture]) -> str:
    return min(picture.name for picture in pictures)


def _choose(
    bundles: list[list[Picture]], num: int, seed: int
) -> list[Picture]:
    """Draw bundles until there are about ``num`` pictures."""
    drawn = bundles.copy()
    random.Random(seed).shuffle(drawn)
    chosen: list[Picture] = []
    for bundle in drawn:
        if len(chosen) < num and len(chosen) + len(bundle) <= MOST * num:
            chosen += bundle
    return chosen or min(drawn, key=len, default=[])
