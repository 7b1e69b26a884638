"""Names of keypoints in different spellings."""

import re
from collections.abc import Sequence

from ...messages import list_some


def compare_names(
    names: Sequence[str], expected: Sequence[str]
) -> tuple[str, list[str]]:
    """Compare keypoint names of a category with those of the metainfo.

    Case, spaces, dashes, underscores, l and r for left and right, and the
    order of words do not matter: "Head top", "head_top" and "top-head" are
    equal, "L_F_Paw" is "left_front_paw".

    Args:
        names: Names of the category, K.
        expected: Names of the metainfo, K.

    Returns:
        An error that names the first difference, or ''; and the pairs of
        names that have nothing in common.
    """
    ours = [_words(name) for name in names]
    theirs = [_words(name) for name in expected]
    is_numbered = _are_numbered(ours) or _are_numbered(theirs)
    if is_numbered and set(ours) != set(theirs):
        return '', []  # numbers do not name keypoints
    unknown: list[str] = []
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if a == b:
            continue
        sides = [{'left', 'right'} & set(words) for words in (a, b)]
        is_swapped = all(sides) and sides[0] != sides[1]
        if a in theirs or is_swapped:
            return f'keypoint {k} is {names[k]!r}, not {expected[k]!r}', []
        if not set(a) <= set(b) and not set(b) <= set(a):
            unknown.append(f'{names[k]!r} for {expected[k]!r}')
    if 2 * len(unknown) > len(names):
        return f'keypoints have other names: {list_some(unknown)}', []
    return '', unknown


_SHORT = dict(l='left', r='right', f='front', b='back')


def _words(name: str) -> tuple[str, ...]:
    """Split a name into its words, sorted."""
    spaced = re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', str(name))
    words = re.findall(r'[^\W\d_]+|\d+', spaced.lower())
    if len(words) > 1:
        words = [_SHORT.get(word, word) for word in words]
    return tuple(sorted(words))


def _are_numbered(names: list[tuple[str, ...]]) -> bool:
    """Whether names differ only in numbers, such as kpt-0, kpt-1."""
    bare = {tuple(w for w in n if not w.isdigit()) for n in names}
    return len(names) > 1 and len(bare) <= 1
