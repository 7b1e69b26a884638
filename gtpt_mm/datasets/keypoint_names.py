"""Names of keypoints as many tools spell them, and their meaning.

``L_Hip``, ``hip_l``, ``LHip``, ``leftHip``, ``left hip``, ``hip.L`` and
``lhip`` are one keypoint; ``paw1LH`` is a left hind paw. A name is cut into
words at signs, capitals and digits; words are translated by the tables below,
and a side or a place moves to the front. 'left' inside a longer word, such as
'cleft', is not a side.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

#: Words of the sides. Letters of a side stand alone or beside a part.
SIDES = {
    'left': 'left', 'l': 'left', 'lt': 'left', 'lft': 'left',
    'right': 'right', 'r': 'right', 'rt': 'right', 'rgt': 'right',
}  # fmt: skip
OTHER_SIDE = {'left': 'right', 'right': 'left'}
#: Side and place of limbs in two letters: paws of animals, wheels of cars.
CODES = {
    'lf': ('left', 'front'), 'fl': ('left', 'front'),
    'rf': ('right', 'front'), 'fr': ('right', 'front'),
    'lh': ('left', 'hind'), 'hl': ('left', 'hind'), 'bl': ('left', 'hind'),
    'lb': ('left', 'hind'), 'rl': ('left', 'hind'),
    'rh': ('right', 'hind'), 'hr': ('right', 'hind'), 'br': ('right', 'hind'),
    'rb': ('right', 'hind'), 'rr': ('right', 'hind'),
}  # fmt: skip
PLACES = {'front': 'front', 'fore': 'front', 'hind': 'hind', 'rear': 'hind'}
#: Parts that have a front and a hind one: 'L_B_Paw' is a left hind paw.
LIMBS = {
    'ankle', 'claw', 'elbow', 'foot', 'hip', 'hoof', 'knee', 'leg', 'limb',
    'paw', 'shoulder', 'thigh', 'toe', 'wheel', 'wing', 'wrist',
}  # fmt: skip
#: Parts that are found in names without signs, such as 'lhip' and 'kneer'.
PARTS = LIMBS | {
    'antenna', 'arm', 'brow', 'cheek', 'collar', 'ear', 'eye', 'eyebrow',
    'fin', 'finger', 'forearm', 'hand', 'heel', 'horn', 'mouth', 'nostril',
    'pinky', 'thumb', 'whisker',
}  # fmt: skip
WORDS = {
    'sho': 'shoulder', 'shldr': 'shoulder', 'elb': 'elbow', 'wri': 'wrist',
    'ank': 'ankle', 'centre': 'center', 'mid': 'middle', 'little': 'small',
}  # fmt: skip
#: Names of more words, in any order, and their common name.
PHRASES = {
    'base tail': 'tail_base', 'root tail': 'tail_base',
    'end tail': 'tail_tip', 'tip tail': 'tail_tip',
    'tailbase': 'tail_base', 'tailroot': 'tail_base', 'tailtip': 'tail_tip',
    'snout': 'nose', 'nose tip': 'nose', 'nosetip': 'nose',
    'snout tip': 'nose',
    'hip middle': 'pelvis', 'center hip': 'pelvis', 'midhip': 'pelvis',
    'root': 'pelvis',
    'head top': 'head_top', 'headtop': 'head_top',
}  # fmt: skip
#: Sides in other languages, only to find pairs; the rest of two names must be
#: equal.
FOREIGN_SIDES = {
    'left': re.compile(
        r'link(e[mnrs]?|s)|gauche|izquierd[ao]|sinistr[ao]|esquerd[ao]|'
        r'lew[aey]|лев(ый|ая|ое)|vänster|venstre|左'
    ),
    'right': re.compile(
        r'recht(e[mnrs]?|s)|droite?|derech[ao]|destr[ao]|direit[ao]|'
        r'praw[aey]|прав(ый|ая|ое)|höger|høyre|højre|右'
    ),
}
#: Words that begin or end as a side does.
NO_SIDES = {'leftover', 'leftmost', 'rightmost', 'rear', 'upright'}

_CHUNK = re.compile(r'\d+|[^\W\d_]+')


@dataclass
class SwapPairs:
    """Keypoints that a mirror exchanges.

    Attributes:
        pairs: Names (left, right).
        guessed: Those of ``pairs`` that agree only without their numbers, such
            as 'paw1LH' and 'paw4RH', to show to the user.
        unsure: Names that seem to have a side, but have no partner.
    """

    pairs: list[tuple[str, str]] = field(default_factory=list)
    guessed: list[tuple[str, str]] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)


def canonical(name: str) -> str:
    """Return the meaning of a name, equal for all its spellings.

    Example:
        >>> [canonical(n) for n in ('L_Hip', 'hip.L', 'LeftHip', 'lhip')]
        ['left_hip', 'left_hip', 'left_hip', 'left_hip']
        >>> canonical('paw1LH_top'), canonical('L_B_Paw'), canonical('Nose')
        ('left_hind_paw_1_top', 'left_hind_paw', 'nose')
        >>> canonical('cleft lip')
        'cleft_lip'
    """
    return '_'.join(_meaning(name)) or name.casefold()


def same_keypoint(a: str, b: str) -> bool:
    """Tell whether two names mean one keypoint.

    Example:
        >>> same_keypoint('RSho', 'shoulder_right')
        True
        >>> same_keypoint('left_ear', 'left_eye')
        False
    """
    return canonical(a) == canonical(b)


def match_names(
    source: Sequence[str], target: Sequence[str]
) -> dict[str, str | None]:
    """Return the source of each target name, or None.

    Equal names are matched first, then those equal but for case, then those
    of one meaning. A source serves one target at most.

    Example:
        >>> match_names(['left_hip', 'nose'], ['hip_l', 'snout', 'tail'])
        {'hip_l': 'left_hip', 'snout': 'nose', 'tail': None}
    """
    found: dict[str, str | None] = dict.fromkeys(target)
    free = list(dict.fromkeys(source))
    for key in (str, str.casefold, canonical):
        for name in found:
            if found[name] is not None:
                continue
            hit = next((s for s in free if key(s) == key(name)), None)
            if hit is not None:
                found[name] = hit
                free.remove(hit)
    return found


def find_swap_pairs(names: Sequence[str]) -> SwapPairs:
    """Return the pairs of left and right among names.

    Example:
        >>> find_swap_pairs(['nose', 'L_Ear', 'R_Ear', 'left_horn'])
        SwapPairs(pairs=[('L_Ear', 'R_Ear')], guessed=[], unsure=['left_horn'])
        >>> find_swap_pairs(['linke_Hand', 'rechte_Hand', 'Kopf']).pairs
        [('linke_Hand', 'rechte_Hand')]
    """
    found = SwapPairs()
    sided = [name for name in names if OTHER_SIDE.keys() & _meaning(name)]
    rest = _pair(sided, True, found.pairs)
    rest = _pair(rest, False, found.guessed)
    found.pairs += found.guessed
    found.pairs += _find_foreign_pairs([n for n in names if n not in sided])
    found.pairs.sort(key=lambda pair: min(map(list(names).index, pair)))
    found.unsure = rest
    return found


def _pair(
    names: list[str],
    with_numbers: bool,
    pairs: list[tuple[str, str]],
) -> list[str]:
    """Append the pairs whose meaning occurs once; return the other names."""
    by_meaning: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        words = tuple(
            w for w in _meaning(name) if with_numbers or not w.isdigit()
        )
        by_meaning.setdefault(words, []).append(name)
    paired = set()
    for words, same in by_meaning.items():
        mirrored = tuple(OTHER_SIDE.get(w, w) for w in words)
        other = by_meaning.get(mirrored, [])
        if len(same) == len(other) == 1 and _side(words) == 'left':
            pairs.append((same[0], other[0]))
            paired |= {same[0], other[0]}
    return [name for name in names if name not in paired]


def _find_foreign_pairs(names: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of names with sides of other languages."""
    by_rest: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for name in names:
        words = [w.casefold() for w in _cut(re.sub('([左右])', r'_\1_', name))]
        sides = [
            (side, i)
            for i, word in enumerate(words)
            for side, pattern in FOREIGN_SIDES.items()
            if pattern.fullmatch(word)
        ]
        if len(sides) == 1:
            (side, i), *_ = sides
            same = by_rest.setdefault((*words[:i], *words[i + 1 :]), {})
            same.setdefault(side, []).append(name)
    return [
        (same['left'][0], same['right'][0])
        for same in by_rest.values()
        if list(map(len, same.values())) == [1, 1]
    ]


def _side(words: Iterable[str]) -> str:
    """Return the first side among words."""
    return next(w for w in words if w in OTHER_SIDE)


def _meaning(name: str) -> list[str]:
    """Return the words of :func:`canonical`: side, place, the others."""
    words: list[str] = []
    for word in _cut(name):
        words += _split(word.casefold())
    words = [_number(WORDS.get(w, w)) for w in words if w != 'of']
    words = _spell_places(words)
    sides = [w for w in words if w in OTHER_SIDE]
    if len(sides) > 1:  # 'left_eye_right_corner': the order has a meaning
        return words
    places = [w for w in words if w in ('front', 'hind')]
    others = [w for w in words if w not in sides + places]
    phrase = PHRASES.get(' '.join(sorted(others)))
    return sides + places + (phrase.split('_') if phrase else others)


def _cut(name: str) -> Iterator[str]:
    """Yield the words between signs, digits and capitals of a name."""
    for chunk in _CHUNK.findall(name):
        start = 0
        for i in range(1, len(chunk)):
            before, here, after = chunk[i - 1], chunk[i], chunk[i + 1 : i + 2]
            # 'leftHip', and 'LHip' before its last capital
            if here.isupper() and (before.islower() or after.islower()):
                yield chunk[start:i]
                start = i
        yield chunk[start:]


def _number(word: str) -> str:
    return str(int(word)) if word.isdecimal() else word


def _spell_places(words: list[str]) -> list[str]:
    """Write out 'f', 'h' and 'b' of limbs, and 'back' where it is hind."""
    if not OTHER_SIDE.keys() & words or not LIMBS & set(words):
        return words
    letters = {'f': 'front', 'h': 'hind', 'b': 'hind', 'back': 'hind'}
    return [letters.get(w, w) for w in words]


def _split(word: str) -> list[str]:
    """Return the words in a word: 'lhip' is of two, 'cleft' of one."""
    if word in SIDES:
        return [SIDES[word]]
    if word in PLACES:
        return [PLACES[word]]
    if word in CODES:
        return list(CODES[word])
    if word in PARTS or word in NO_SIDES:
        return [word]
    for table in (SIDES, CODES):
        for side, meaning in table.items():
            found = [meaning] if isinstance(meaning, str) else list(meaning)
            if word.startswith(side) and (rest := _known(word[len(side) :])):
                return found + rest
            if word.endswith(side) and (rest := _known(word[: -len(side)])):
                return rest + found
    for side in OTHER_SIDE:  # 'leftflipper': a part that is in no table
        if word.startswith(side) and len(word) > len(side) + 2:
            return [side, word.removeprefix(side)]
    return _known(word) or [word]


def _known(word: str) -> list[str]:
    """Return a part, split into place and limb; [] if it is unknown."""
    word = WORDS.get(word, word)
    if word in PARTS:
        return [word]
    for place in ('fore', 'front', 'hind', 'rear', 'back', 'f', 'h', 'b'):
        limb = word.removeprefix(place)
        if limb != word and limb in LIMBS:
            return [PLACES.get(place, place), limb]
    for place in ('mid', 'middle'):
        limb = word.removeprefix(place)
        if limb != word and limb in LIMBS - {'hip'}:
            return ['middle', limb]
    return []
