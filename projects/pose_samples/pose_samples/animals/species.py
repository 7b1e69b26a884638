"""Species: how they are built and what they wear.

Lengths are in heights of the withers: a standing animal's shoulders are 1
high. Names, families and ids are those of AP-10K's categories.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

# Blue, green, red.
_BLACK, _WHITE = (38, 36, 36), (232, 238, 240)
_CREAM, _PINK = (178, 208, 228), (168, 178, 226)
_TAN, _FAWN = (104, 152, 196), (96, 142, 178)
_BROWN, _DARK_BROWN = (52, 80, 116), (34, 50, 72)
_CHESTNUT, _RED = (42, 72, 132), (46, 106, 190)
_GREY, _SAND = (128, 132, 138), (128, 176, 206)
_GINGER, _GOLD = (62, 128, 208), (92, 158, 204)


@dataclass(frozen=True)
class Build:
    """Proportions of a species.

    Args:
        length: From the hips to the shoulders.
        croup: Height of the back over the hips.
        chest: Half the depth of the trunk behind the shoulders.
        waist: Half its depth before the hips.
        rump: Half its depth at the hips.
        width: Half its width.
        elbow: Height of the elbow.
        carpus: Height of the carpus, the "knee" of a fore leg.
        stifle: Height of the stifle, the anatomical knee.
        hock: Height of the hock, the anatomical heel.
        heel: Lean of the metatarsus when standing, radians; large for
            animals that walk on their soles.
        bone: Factor on the thickness of the legs.
        foot: Length of the foot.
        is_hoofed: Hooves instead of paws.
        neck: Length of the neck.
        neck_rest: Its elevation at rest, degrees.
        neck_base: Half its depth at the trunk.
        neck_top: Half its depth behind the head.
        head: From the middle of the skull to the tip of the nose.
        skull: Radius of the skull.
        muzzle: Radius of the muzzle at its end.
        forehead: How far the muzzle lies below the middle of the skull, in
            radii of the skull; a deep stop in cats, none in horses.
        head_rest: Elevation of the muzzle at rest, degrees.
        eye_forward: 0 for eyes at the sides of the head, 1 for eyes that
            look forward.
        ear: Length of the ears.
        ear_shape: ``pointed``, ``round``, ``leaf`` or ``floppy``.
        tail: Length of the tail.
        tail_shape: ``thin``, ``bushy``, ``hair``, ``tuft``, ``short`` or
            ``curl``.
        horns: ``none``, ``spiral``, ``cow``, ``antlers`` or ``knobs``.
        mane: ``none``, ``hair``, ``brush`` or ``lion``.
        wool: Fluffy outline of trunk and neck.
        size: Size relative to other animals, 1 for a wolf.
    """

    length: float = 0.90
    croup: float = 0.97
    chest: float = 0.215
    waist: float = 0.145
    rump: float = 0.175
    width: float = 0.135
    elbow: float = 0.50
    carpus: float = 0.235
    stifle: float = 0.53
    hock: float = 0.29
    heel: float = 0.12
    bone: float = 1.0
    foot: float = 0.11
    is_hoofed: bool = False
    neck: float = 0.34
    neck_rest: float = 38.0
    neck_base: float = 0.165
    neck_top: float = 0.115
    head: float = 0.33
    skull: float = 0.125
    muzzle: float = 0.055
    forehead: float = 0.40
    head_rest: float = -14.0
    eye_forward: float = 0.5
    ear: float = 0.15
    ear_shape: str = 'pointed'
    tail: float = 0.50
    tail_shape: str = 'thin'
    horns: str = 'none'
    mane: str = 'none'
    wool: float = 0.0
    size: float = 1.0


@dataclass(frozen=True)
class Coat:
    """Colours (blue, green, red) and markings.

    Args:
        base: Colour of trunk, neck, head and upper legs.
        pattern: ``plain``, ``spots``, ``rosettes``, ``stripes``,
            ``patches``, ``net``, ``saddle`` or ``panda``.
        accent: Colour of the pattern, of mane and ears' rims.
        belly: Colour of belly, throat and muzzle.
        legs: Colour of the lower legs.
        nose: Colour of the nose.
    """

    base: tuple[float, float, float]
    pattern: str = 'plain'
    accent: tuple[float, float, float] = _BLACK
    belly: tuple[float, float, float] | None = None
    legs: tuple[float, float, float] | None = None
    nose: tuple[float, float, float] = _BLACK


@dataclass(frozen=True)
class Species:
    """One species.

    Args:
        number: Category id in AP-10K.
        name: Category name in AP-10K.
        family: Its family, the supercategory.
        build: Proportions.
        coats: Looks, drawn with equal probability.
        postures: What it does besides standing and its gaits.
    """

    number: int
    name: str
    family: str
    build: Build
    coats: tuple[Coat, ...]
    postures: tuple[str, ...] = ('graze',)


_DOG = Build()
_CAT = Build(
    length=0.98, chest=0.20, waist=0.165, rump=0.185, width=0.12,
    elbow=0.47, carpus=0.21, stifle=0.52, hock=0.29, heel=0.18, bone=1.0,
    foot=0.115, neck=0.24, neck_rest=32, neck_base=0.15, neck_top=0.125,
    head=0.235, skull=0.158, muzzle=0.066, forehead=0.38, head_rest=-12,
    eye_forward=0.9, ear=0.13, ear_shape='pointed', tail=0.85, size=0.55,
)  # fmt: skip
_BIG_CAT = replace(
    _CAT, length=1.06, chest=0.215, waist=0.185, rump=0.20, neck=0.28,
    neck_rest=16, neck_base=0.180, neck_top=0.150, head=0.290, skull=0.160,
    muzzle=0.086, ear=0.07, ear_shape='round', bone=1.3, foot=0.13,
    tail=0.82, size=1.2,
)  # fmt: skip
_HORSE = Build(
    length=0.93, croup=1.0, chest=0.215, waist=0.185, rump=0.20, width=0.145,
    elbow=0.575, carpus=0.31, stifle=0.60, hock=0.375, heel=0.08, bone=0.86,
    foot=0.075, is_hoofed=True, neck=0.50, neck_rest=48, neck_base=0.185,
    neck_top=0.115, head=0.40, skull=0.115, muzzle=0.066, forehead=0.15,
    head_rest=-44, eye_forward=0.1, ear=0.12, ear_shape='leaf', tail=0.62,
    tail_shape='hair', mane='hair', size=1.9,
)  # fmt: skip
_COW = replace(
    _HORSE, length=1.08, croup=0.99, chest=0.27, waist=0.245, rump=0.235,
    width=0.18, elbow=0.49, carpus=0.265, stifle=0.53, hock=0.33, bone=0.94,
    neck=0.36, neck_rest=18, neck_base=0.215, neck_top=0.15, head=0.37,
    skull=0.125, muzzle=0.088, forehead=0.2, head_rest=-36, ear=0.16,
    ear_shape='floppy', tail=0.68, tail_shape='tuft', horns='cow',
    mane='none', size=1.7,
)  # fmt: skip
_ANTELOPE = replace(
    _HORSE, length=0.84, chest=0.20, waist=0.15, rump=0.185, width=0.12,
    elbow=0.60, carpus=0.33, stifle=0.62, hock=0.41, bone=0.66, foot=0.065,
    neck=0.44, neck_rest=50, neck_base=0.15, neck_top=0.08, head=0.285,
    skull=0.092, muzzle=0.045, head_rest=-26, ear=0.15, ear_shape='leaf',
    tail=0.19, tail_shape='short', horns='spiral', mane='none', size=1.0,
)  # fmt: skip
_PIG = Build(
    length=1.16, croup=1.0, chest=0.31, waist=0.295, rump=0.275, width=0.215,
    elbow=0.37, carpus=0.19, stifle=0.40, hock=0.235, heel=0.10, bone=1.15,
    foot=0.085, is_hoofed=True, neck=0.30, neck_rest=6, neck_base=0.275,
    neck_top=0.215, head=0.44, skull=0.185, muzzle=0.085, forehead=0.35,
    head_rest=-22, eye_forward=0.2, ear=0.19, ear_shape='floppy', tail=0.26,
    tail_shape='curl', size=0.8,
)  # fmt: skip
_BEAR = Build(
    length=0.98, croup=0.94, chest=0.275, waist=0.265, rump=0.27, width=0.20,
    elbow=0.40, carpus=0.15, stifle=0.42, hock=0.145, heel=0.55, bone=1.85,
    foot=0.17, neck=0.27, neck_rest=2, neck_base=0.26, neck_top=0.185,
    head=0.34, skull=0.165, muzzle=0.078, forehead=0.42, head_rest=-16,
    eye_forward=0.6, ear=0.085, ear_shape='round', tail=0.07,
    tail_shape='short', size=1.6,
)  # fmt: skip

_SITS = ('sit', 'sit')  # twice as often as others graze and sit
_SPECIES = (
    Species(1, 'antelope', 'Bovidae', _ANTELOPE, (
        Coat(_TAN, 'saddle', _DARK_BROWN, _WHITE),
        Coat(_FAWN, 'plain', _DARK_BROWN, _CREAM),
    )),
    Species(5, 'cow', 'Bovidae', _COW, (
        Coat(_WHITE, 'patches', _BLACK, nose=_PINK),
        Coat(_WHITE, 'patches', _CHESTNUT, nose=_PINK),
        Coat(_BROWN, 'plain', _DARK_BROWN, nose=_DARK_BROWN),
        Coat(_BLACK, 'plain', _BLACK, nose=_GREY),
    )),
    Species(6, 'sheep', 'Bovidae', replace(
        _COW, chest=0.265, waist=0.255, rump=0.25, width=0.20, length=0.94,
        neck=0.28, neck_rest=34, neck_base=0.19, neck_top=0.135, head=0.30,
        skull=0.11, muzzle=0.062, tail=0.14, tail_shape='short',
        horns='none', bone=0.80, ear=0.14, wool=0.05, size=0.8,
    ), (
        Coat(_CREAM, legs=_CREAM, nose=_PINK),
        Coat(_WHITE, legs=_BLACK, accent=_BLACK),
        Coat(_DARK_BROWN, legs=_BLACK),
    )),
    Species(8, 'dog', 'Canidae', _DOG, (
        Coat(_GOLD, 'plain', _BROWN, _CREAM),
        Coat(_BLACK, 'saddle', _BLACK, _TAN, _TAN),
        Coat(_WHITE, 'patches', _CHESTNUT),
        Coat(_WHITE, 'spots', _BLACK),
        Coat(_BROWN, 'plain', _DARK_BROWN),
    ), _SITS),
    Species(9, 'fox', 'Canidae', replace(
        _DOG, length=0.98, chest=0.19, waist=0.16, width=0.115, neck=0.28,
        neck_base=0.145, neck_top=0.11, head=0.34, muzzle=0.036, ear=0.19,
        tail=0.80, tail_shape='bushy', bone=0.78, size=0.6,
    ), (Coat(_RED, 'plain', _BLACK, _WHITE, _DARK_BROWN),), _SITS),
    Species(10, 'wolf', 'Canidae', replace(
        _DOG, chest=0.225, neck_base=0.185, neck_top=0.145, tail=0.55,
        tail_shape='bushy', neck_rest=22, ear=0.125, bone=0.95, size=1.1,
    ), (
        Coat(_GREY, 'saddle', (84, 88, 92), _CREAM, _SAND),
        Coat(_WHITE, 'plain', _CREAM),
    ), _SITS),
    Species(17, 'deer', 'Cervidae', replace(
        _ANTELOPE, length=0.88, chest=0.205, waist=0.17, neck=0.48,
        neck_base=0.16, neck_top=0.09, ear=0.17, head=0.30,
        horns='antlers', size=1.3,
    ), (
        Coat(_CHESTNUT, 'plain', _DARK_BROWN, _CREAM),
        Coat((58, 100, 158), 'spots', _CREAM, _CREAM),
    )),
    Species(21, 'horse', 'Equidae', _HORSE, (
        Coat(_CHESTNUT, accent=(40, 66, 120)),
        Coat(_BROWN, accent=_BLACK, legs=_BLACK),
        Coat(_BLACK),
        Coat((196, 200, 202), accent=_GREY, nose=_GREY),
        Coat(_WHITE, 'patches', _CHESTNUT, nose=_PINK),
    )),
    Species(22, 'zebra', 'Equidae', replace(
        _HORSE, neck=0.44, mane='brush', tail=0.5, tail_shape='tuft',
        ear=0.14, size=1.6,
    ), (Coat(_WHITE, 'stripes', _BLACK),)),
    Species(24, 'cat', 'Felidae', _CAT, (
        Coat(_GINGER, 'stripes', (44, 92, 164), _CREAM, nose=_PINK),
        Coat(_GREY, 'stripes', (64, 66, 70), nose=_PINK),
        Coat(_BLACK),
        Coat(_WHITE, 'patches', _GINGER, nose=_PINK),
        Coat(_WHITE, 'patches', _BLACK, nose=_PINK),
    ), _SITS),
    Species(25, 'cheetah', 'Felidae', replace(
        _BIG_CAT, length=0.98, chest=0.205, waist=0.135, rump=0.17,
        width=0.11, elbow=0.53, stifle=0.56, hock=0.32, bone=0.92,
        head=0.215, skull=0.128, muzzle=0.066, neck_base=0.15, neck_top=0.115,
        neck_rest=24, size=1.0,
    ), (Coat(_GOLD, 'spots', _BLACK, _CREAM),), _SITS),
    Species(26, 'jaguar', 'Felidae', replace(
        _BIG_CAT, bone=1.45, chest=0.235, waist=0.21, tail=0.68,
    ), (Coat((80, 146, 202), 'rosettes', _BLACK, _CREAM),), _SITS),
    Species(29, 'lion', 'Felidae', _BIG_CAT, (
        Coat(_SAND, 'plain', _CHESTNUT, _CREAM),
        Coat((112, 160, 192), 'plain', _DARK_BROWN, _CREAM),
    ), _SITS),
    Species(32, 'tiger', 'Felidae', _BIG_CAT, (
        Coat((52, 124, 216), 'stripes', _BLACK, _WHITE, nose=_PINK),
    ), _SITS),
    Species(33, 'giraffe', 'Giraffidae', replace(
        _HORSE, length=0.66, croup=0.86, chest=0.185, waist=0.16, rump=0.165,
        elbow=0.64, carpus=0.36, stifle=0.62, hock=0.40, bone=0.70,
        neck=0.86, neck_rest=62, neck_base=0.15, neck_top=0.068, head=0.25,
        skull=0.07, muzzle=0.04, head_rest=-26, ear=0.10, tail=0.45,
        tail_shape='tuft', horns='knobs', mane='brush', size=3.0,
    ), (Coat(_CREAM, 'net', (46, 92, 152)),), ()),  # cannot reach the grass
    Species(48, 'pig', 'Suidae', _PIG, (
        Coat((172, 184, 228), nose=(138, 146, 206)),
        Coat((172, 184, 228), 'patches', _BLACK, nose=(138, 146, 206)),
        Coat(_DARK_BROWN, nose=_GREY),
    )),
    Species(51, 'brown bear', 'Ursidae', _BEAR, (
        Coat(_BROWN, legs=_DARK_BROWN, belly=_BROWN),
        Coat((60, 96, 132), legs=_BROWN, belly=_BROWN),
    ), ('graze', 'sit')),
    Species(52, 'panda', 'Ursidae', replace(
        _BEAR, skull=0.205, head=0.30, muzzle=0.08, neck=0.22,
        neck_top=0.21, ear=0.10, bone=1.7, length=0.9,
    ), (Coat(_WHITE, 'panda', _BLACK, legs=_BLACK),), ('graze', 'sit')),
    Species(53, 'polar bear', 'Ursidae', replace(
        _BEAR, neck=0.36, neck_rest=8, neck_base=0.24, neck_top=0.155,
        head=0.32, skull=0.135, muzzle=0.068, ear=0.06, croup=1.0,
    ), (Coat((198, 222, 234), belly=(204, 226, 236)),), ('graze', 'sit')),
)  # fmt: skip
SPECIES = {species.name: species for species in _SPECIES}


def sample_build(rng: np.random.Generator, species: Species) -> Build:
    """Draw an individual: every measure a few percent off the species'."""
    build = species.build
    spread = 0.04
    values = {}
    for field in fields(Build):
        value = getattr(build, field.name)
        # bool is excluded on purpose, and so are names of shapes.
        if type(value) in (int, float):
            factor = 1 + spread * float(np.clip(rng.normal(), -2, 2))
            values[field.name] = value * factor
    if species.name == 'lion':
        values['mane'] = 'lion' if rng.random() < 0.55 else 'none'
    if build.horns in ('antlers', 'cow', 'spiral') and rng.random() < 0.4:
        values['horns'] = 'none'
    if species.name == 'dog':  # breeds
        values['ear_shape'] = ('pointed', 'floppy')[rng.integers(2)]
        values['ear'] = values['ear'] * rng.uniform(0.9, 1.3)
        values['tail_shape'] = ('thin', 'bushy')[rng.integers(2)]
        values['head'] = values['head'] * rng.uniform(0.82, 1.05)
        values['bone'] = values['bone'] * rng.uniform(0.9, 1.15)
    return replace(build, **values)
