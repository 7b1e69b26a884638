"""Looks of people: skin, hair and clothes. Colours are (blue, green, red)."""

import colorsys
from dataclasses import dataclass

import numpy as np

from .arrays import Array, Rng

_SKIN = np.array(
    [(196, 214, 243), (160, 187, 231), (124, 158, 214), (96, 134, 190),
     (66, 98, 152), (48, 72, 116), (38, 54, 86)], float,
)  # fmt: skip
_HAIR = np.array(
    [(22, 22, 26), (28, 38, 56), (40, 62, 96), (70, 108, 158),
     (110, 168, 212), (44, 70, 150), (150, 150, 155), (215, 215, 218)], float,
)  # fmt: skip
# Name: probability.
SHIRTS = {'plain': 0.28, 'stripes': 0.14, 'upright': 0.07, 'print': 0.13,
          'yoke': 0.1, 'buttons': 0.1, 'jacket': 0.12,
          'dots': 0.06}  # fmt: skip
HAIRCUTS = {'short': 0.36, 'long': 0.18, 'bob': 0.12, 'tail': 0.09,
            'bun': 0.06, 'bald': 0.06, 'cap': 0.13}  # fmt: skip
_SLEEVES = {0.0: 0.1, 0.45: 0.28, 0.6: 0.12, 1.05: 0.08, 2.0: 0.42}
_TROUSER_LEGS = {0.35: 0.08, 0.6: 0.14, 0.95: 0.14, 2.0: 0.64}


def _choose(rng: Rng, table: dict):
    return tuple(table)[rng.choice(len(table), p=tuple(table.values()))]


def random_color(rng: Rng, saturation: float = 0.75) -> Array:
    """Draw a colour, often a grey; ``saturation`` is the highest, 0 to 1."""
    if rng.random() < 0.3:
        return np.full(3, rng.uniform(25, 235)) + rng.uniform(-8, 8, size=3)
    hue, saturation, value = rng.uniform((0, 0.05, 0.2), (1, saturation, 0.92))
    rgb = colorsys.hsv_to_rgb(hue, saturation, value)
    return 255 * np.array(rgb[::-1])


@dataclass
class Style:
    """Looks of one person; see also ``canvas.Look``."""

    skin: Array
    hair: Array  # and brows
    haircut: str  # one of HAIRCUTS
    lips: Array
    shirt: Array
    accent: Array  # colour of the shirt's pattern
    pattern: str  # one of SHIRTS
    sleeve: float  # length; 0 none, 1 to the elbow, 2 to the wrist
    trousers: Array  # or skirt
    trouser_leg: float  # length; 1 to the knee, 2 to the ankle
    with_skirt: bool  # of this length, instead of trousers
    shoes: Array  # colour; that of the skin when barefoot
    is_barefoot: bool
    fit: float  # clothes over body, in thickness; 1 is tight
    with_glasses: bool
    beard: float  # opacity, 0 to 1
    light: Array
    contrast: float


def sample_style(rng: Rng, light: Array) -> Style:
    """Draw the looks of a person under a given light."""
    tone = rng.uniform(0, len(_SKIN) - 1.001)
    low = int(tone)
    skin = _SKIN[low] + (tone - low) * (_SKIN[low + 1] - _SKIN[low])
    skin = skin * rng.uniform(0.94, 1.06, size=3)
    dark_hair = rng.random() < 0.35 + 0.5 * tone / len(_SKIN)
    hair = _HAIR[rng.integers(2 if dark_hair else len(_HAIR))]
    hair = hair * rng.uniform(0.85, 1.15)
    haircut = _choose(rng, HAIRCUTS)
    with_skirt = haircut in ('long', 'bob', 'tail', 'bun') and (
        rng.random() < 0.35
    )
    barefoot = rng.random() < 0.12
    shirt, accent = random_color(rng), random_color(rng)
    pattern, sleeve = _choose(rng, SHIRTS), _choose(rng, _SLEEVES)
    matches = with_skirt and rng.random() < 0.5
    trousers = shirt if matches else random_color(rng)
    trouser_leg = (
        rng.uniform(0.55, 1.5) if with_skirt else _choose(rng, _TROUSER_LEGS)
    )
    shoes = skin * 0.97 if barefoot else random_color(rng)
    fit = 1.04 + 0.2 * rng.random() ** 2
    with_glasses = rng.random() < 0.12
    bearded = haircut in ('short', 'bald', 'cap') and rng.random() < 0.25
    beard = rng.uniform(0.35, 0.9) if bearded else 0.0
    return Style(
        skin, hair, haircut, skin * (0.72, 0.66, 0.92), shirt, accent,
        pattern, sleeve, trousers, trouser_leg, with_skirt, shoes, barefoot,
        fit, with_glasses, beard, light, rng.uniform(0.16, 0.30),
    )  # fmt: skip
