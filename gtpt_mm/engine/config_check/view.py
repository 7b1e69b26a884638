"""A config as plain dicts, and its parts: networks, datasets, codecs."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeGuard

from mmengine.config import Config

from .registered import find_class, is_codec
from .signatures import read_arguments

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
#: Transforms that bring images to the input of the network.
RESIZES = ('TopdownAffine', 'BottomupRandomAffine')


@dataclass(frozen=True)
class Part:
    """A dict of the config and its dotted key."""

    place: str
    cfg: dict

    def child(self, *names: str | int) -> 'Part':
        """Return a dict inside; an empty one if there is none."""
        value: Any = self.cfg
        for name in names:
            value = _get(value, name)
        place = '.'.join([self.place, *map(str, names)])
        return Part(place, value if isinstance(value, dict) else {})

    def get(self, name: str) -> Any:
        """Return a value, or the default of the class."""
        if name in self.cfg:
            return self.cfg[name]
        cls = find_class(self.cfg, self.place)
        if cls is None:
            return None
        default = read_arguments(cls).defaults.get(name)
        return None if isinstance(default, type) else default

    @property
    def kind(self) -> str:
        """The ``type``, without the name of a package."""
        kind = self.cfg.get('type', '')
        if not isinstance(kind, str):
            kind = getattr(kind, '__name__', '')
        return kind.rpartition('.')[2]


@dataclass(frozen=True)
class Network:
    """A backbone with a head.

    Attributes:
        model: The estimator.
        heads: Heads by dataset; '' where there is one for all.
    """

    model: Part
    heads: dict[str, Part]

    @property
    def backbone(self) -> Part:
        """The backbone."""
        return self.model.child('backbone')

    @property
    def neck(self) -> Part:
        """The neck; empty if there is none."""
        return self.model.child('neck')


@dataclass(frozen=True)
class Leaf:
    """A dataset that reads files.

    Attributes:
        loader: The loader it is in.
        name: Its name in a ``MultiDataset``, '' elsewhere.
        dataset: Its config.
        steps: Its transforms, then those of the datasets around it.
        num_around: How many datasets are around it.
    """

    loader: str
    name: str
    dataset: Part
    steps: tuple[Part, ...]
    num_around: int


class View:
    """Read access to a config.

    Args:
        cfg: The config; it is copied.
        is_run: Whether the config is for a run; otherwise loaders may be
            incomplete.
    """

    def __init__(self, cfg: Config | dict, is_run: bool = True) -> None:
        self.cfg = to_plain(cfg)
        self.is_run = is_run

    def part(self, name: str) -> Part:
        """Return a dict of the config; an empty one if there is none."""
        return Part(name, _dict(self.cfg.get(name)))

    @cached_property
    def network(self) -> Network:
        """The network that is run; teachers are not checked."""
        model = self.part('model')
        head = model.child('head')
        if not isinstance(head.cfg.get('heads'), dict):
            return Network(model, {'': head} if head.cfg else {})
        shared = _dict(head.cfg.get('shared'))
        heads = {
            name: Part(f'{head.place}.heads.{name}', {**shared, **_dict(own)})
            for name, own in head.cfg['heads'].items()
        }
        return Network(model, heads)

    @cached_property
    def leaves(self) -> list[Leaf]:
        """The datasets of all loaders."""
        return [
            leaf
            for loader in LOADERS
            for leaf in _find_leaves(
                loader,
                '',
                Part(
                    f'{loader}.dataset',
                    _dict(_dict(self.cfg.get(loader)).get('dataset')),
                ),
                (),
                0,
            )
        ]

    def leaves_of(self, name: str) -> list[Leaf]:
        """Return the datasets of the head ``name``."""
        return [leaf for leaf in self.leaves if leaf.name == name or not name]


def to_plain(value: Any) -> Any:
    """Return dicts and lists of a config without mmengine's classes."""
    if isinstance(value, Config):
        return to_plain(value.to_dict())
    if isinstance(value, dict):
        return {k: to_plain(v) for k, v in dict.items(value)}
    if isinstance(value, list):
        return [to_plain(v) for v in value]
    if type(value) is tuple:
        return tuple(to_plain(v) for v in value)
    return value


def decoder_of(head: Part) -> Part:
    """Return the codec of a head; an empty part if it has none."""
    decoder = head.child('decoder')
    if decoder.cfg and not is_codec(decoder.cfg, decoder.place):
        return Part(decoder.place, {})
    return decoder


def encoders(leaf: Leaf) -> list[Part]:
    """Return the codecs that make the targets of a dataset."""
    found = []
    for step in leaf.steps:
        if step.kind != 'GenerateTarget':
            continue
        encoder = step.cfg.get('encoder')
        if isinstance(encoder, dict):
            found.append(step.child('encoder'))
        elif isinstance(encoder, list):
            found += [step.child('encoder', i) for i in range(len(encoder))]
    return found


def _find_leaves(
    loader: str, name: str, part: Part, steps: tuple, num_around: int
) -> Iterator[Leaf]:
    pipeline = part.cfg.get('pipeline')
    own = tuple(
        Part(f'{part.place}.pipeline.{i}', step)
        for i, step in enumerate(pipeline if _is_list(pipeline) else ())
        if isinstance(step, dict)
    )
    steps = own + steps
    inner = part.cfg.get('datasets')
    if isinstance(part.cfg.get('dataset'), dict):
        yield from _find_leaves(
            loader, name, part.child('dataset'), steps, num_around + 1
        )
    elif isinstance(inner, dict):
        for key in inner:
            yield from _find_leaves(
                loader, key, part.child('datasets', key), steps, num_around + 1
            )
    elif _is_list(inner):
        for i in range(len(inner)):
            yield from _find_leaves(
                loader, name, part.child('datasets', i), steps, num_around + 1
            )
    elif part.cfg:
        yield Leaf(loader, name, part, steps, num_around)


def _is_list(value: Any) -> TypeGuard[list | tuple]:
    return isinstance(value, list | tuple)


def _dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _get(value: Any, name: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(name)
    if _is_list(value) and isinstance(name, int) and name < len(value):
        return value[name]
    return None


def as_size(value: Any) -> tuple[int, ...] | None:
    """Return two numbers as a tuple; None if there are not two."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    if _is_list(value) and len(value) == 2:
        return tuple(value)
    return None
