"""Looks: skin, hair and clothes."""

import colorsys
from dataclasses import dataclass

import numpy as np

from .canvas import Color

# Blue, green, red.
_SKIN = np.array(
    [(196, 214, 243), (160, 187, 231), (124, 158, 214), (96, 134, 190),
     (66, 98, 152), (48, 72, 116), (38, 54, 86)], float,
)  # fmt: skip
_HAIR = np.array(
    [(22, 22, 26), (28, 38, 56), (40, 62, 96), (70, 108, 158),
     (110, 168, 212), (44, 70, 150), (150, 150, 155), (215, 215, 218)], float,
)  # fmt: skip
SHIRTS = ('plain', 'stripes', 'upright', 'print', 'yoke', 'buttons',
          'jacket', 'dots')  # fmt: skip
HAIRCUTS = ('short', 'long', 'bob', 'tail', 'bun', 'bald', 'cap')


def random_color(
    rng: np.random.Generator, saturation: float = 0.75
) -> np.ndarray:
    """Draw a colour, often a grey; ``saturation`` is the highest, 0 to 1."""
    if rng.random() < 0.3:
        return np.full(3, rng.uniform(25, 235)) + rng.uniform(-8, 8, size=3)
    hue, saturation, value = rng.uniform((0, 0.05, 0.2), (1, saturation, 0.92))
    rgb = colorsys.hsv_to_rgb(hue, saturation, value)
    return 255 * np.array(rgb[::-1])


def shade(color: np.ndarray, factor: float) -> Color:
    """Return a lighter (> 1) or darker colour as plain numbers."""
    return tuple(np.clip(color * factor, 0, 255).tolist())


@dataclass
class Style:
    """How one person looks.

    Args:
        skin: Colour, as all colours (blue, green, red).
        hair: Colour of hair and brows.
        haircut: One of ``HAIRCUTS``.
        lips: Colour of the lips.
        shirt: Colour of the upper clothes.
        accent: Colour of their pattern.
        pattern: One of ``SHIRTS``.
        sleeve: Length; 0 none, 1 to the elbow, 2 to the wrist.
        trousers: Colour of trousers or skirt.
        trouser_leg: Length; 1 to the knee, 2 to the ankle.
        with_skirt: A skirt of this length instead of trousers.
        shoes: Colour of the shoes, or that of the skin when barefoot.
        is_barefoot: Draw toes.
        fit: Clothes over body, in thickness; 1 is tight.
        with_glasses: Draw glasses.
        beard: Opacity of a beard, 0 to 1.
        light: Where the light comes from, image (x, y), length at most 1.
        contrast: How dark the shaded side is, 0 to 1.
    """

    skin: np.ndarray
    hair: np.ndarray
    haircut: str
    lips: np.ndarray
    shirt: np.ndarray
    accent: np.ndarray
    pattern: str
    sleeve: float
    trousers: np.ndarray
    trouser_leg: float
    with_skirt: bool
    shoes: np.ndarray
    is_barefoot: bool
    fit: float
    with_glasses: bool
    beard: float
    light: np.ndarray
    contrast: float


def sample_style(rng: np.random.Generator, light: np.ndarray) -> Style:
    """Draw the looks of a person under a given light."""
    tone = rng.uniform(0, len(_SKIN) - 1.001)
    low = int(tone)
    skin = _SKIN[low] + (tone - low) * (_SKIN[low + 1] - _SKIN[low])
    skin = skin * rng.uniform(0.94, 1.06, size=3)
    dark_hair = rng.random() < 0.35 + 0.5 * tone / len(_SKIN)
    hair = _HAIR[rng.integers(2 if dark_hair else len(_HAIR))]
    hair = hair * rng.uniform(0.85, 1.15)
    haircut = HAIRCUTS[
        rng.choice(7, p=(0.36, 0.18, 0.12, 0.09, 0.06, 0.06, 0.13))
    ]
    with_skirt = haircut in ('long', 'bob', 'tail', 'bun') and (
        rng.random() < 0.35
    )
    barefoot = rng.random() < 0.12
    sleeves = (0.0, 0.45, 0.6, 1.05, 2.0)
    shirt = random_color(rng)
    return Style(
        skin=skin,
        hair=hair,
        haircut=haircut,
        lips=skin * (0.72, 0.66, 0.92),
        shirt=shirt,
        accent=random_color(rng),
        pattern=SHIRTS[
            rng.choice(8, p=(0.28, 0.14, 0.07, 0.13, 0.1, 0.1, 0.12, 0.06))
        ],
        sleeve=sleeves[rng.choice(5, p=(0.1, 0.28, 0.12, 0.08, 0.42))],
        trousers=shirt
        if with_skirt and rng.random() < 0.5
        else random_color(rng),
        trouser_leg=(0.35, 0.6, 0.95, 2.0)[
            rng.choice(4, p=(0.08, 0.14, 0.14, 0.64))
        ]
        if not with_skirt
        else rng.uniform(0.55, 1.5),
        with_skirt=with_skirt,
        shoes=skin * 0.97 if barefoot else random_color(rng),
        is_barefoot=barefoot,
        fit=1.04 + 0.2 * rng.random() ** 2,
        with_glasses=rng.random() < 0.12,
        beard=rng.uniform(0.35, 0.9)
        if haircut in ('short', 'bald', 'cap') and rng.random() < 0.25
        else 0.0,
        light=light,
        contrast=rng.uniform(0.16, 0.30),
    )
