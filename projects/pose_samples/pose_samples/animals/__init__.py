"""Four-legged animals: the figures of ``ap10k`` and ``apt36k``.

``species`` says how animals are built, ``gaits`` what they do, ``coat`` what
they wear; ``figure`` puts that together in space and ``paint`` (with
``head``) draws it in a landscape from ``field``. ``formats`` writes it down.
"""

from ..subject import Subject
from .field import draw_field, draw_wild_thing
from .figure import sample_animal
from .paint import draw_animal
from .parts import HOSTS, UNGUESSED

ANIMALS = Subject(
    sample=sample_animal,
    draw=draw_animal,
    hosts=HOSTS,
    unguessed=UNGUESSED,
    background=draw_field,
    thing=draw_wild_thing,
    with_seats=False,
)

__all__ = ['ANIMALS']
