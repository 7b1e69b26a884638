"""Rules: number and names of keypoints agree in head and data."""

# K keypoints

import runpy
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import mmpose
from mmengine.config import Config

from .finding import Finding
from .registered import find_class
from .view import LOADERS, Leaf, Part, View, decoder_of

#: Folder of mmpose's metainfo files, as in configs.
STOCK_METAINFO = Path('configs/_base_/datasets')
MMPOSE_METAINFO = Path(mmpose.__file__).parent / '.mim' / STOCK_METAINFO
#: Arguments that may hold K; the first that a head has counts.
COUNTS = ('num_keypoints', 'num_joints', 'out_channels')


def find_missing_files(view: View) -> Iterator[Finding]:
    """Find files of metainfo that do not exist.

    mmpose uses its own file of the same name instead, whatever the folder.
    """
    head = view.part('model').child('head')
    given = [(f'{head.place}.metainfo', head.cfg.get('metainfo'))]
    for leaf in view.leaves:
        metainfo = leaf.dataset.child('metainfo')
        place = f'{metainfo.place}.from_file'
        given.append((place, metainfo.cfg.get('from_file')))
    for place, file in given:
        if not isinstance(file, str) or Path(file).is_file():
            continue
        path = Path(file)
        is_named = path.parts[-4:-1] == STOCK_METAINFO.parts
        if not is_named or not (MMPOSE_METAINFO / path.name).is_file():
            yield Finding(
                place,
                file,
                f'there is no such file in {Path.cwd()}',
                f"give its path; mmpose's own are {STOCK_METAINFO}/NAME.py",
            )


def find_keypoint_counts(view: View) -> Iterator[Finding]:
    """Compare K of the heads with the keypoints of their datasets."""
    for name, head in view.network.heads.items():
        counted = count_of_head(head)
        if counted is None:
            continue
        place, count = counted
        options = view.network.model.child('test_cfg').cfg
        for leaf in view.leaves_of(name):
            if leaf.loader != LOADERS[0] and (
                'output_keypoint_indices' in options
            ):
                continue  # the test reads some of the keypoints
            num = count_of_data(view, leaf)
            if num is not None and num != count:
                yield Finding(
                    place,
                    count,
                    f'{leaf.dataset.place} has {num} keypoints',
                    f'set it to {num}, or give the dataset another metainfo',
                )
                break


def find_groups(view: View) -> Iterator[Finding]:
    """Compare the keypoint groups of a GTPT with its head."""
    backbone = view.network.backbone
    groups = backbone.get('keypoint_groups')
    if not isinstance(groups, list | tuple) or '' not in view.network.heads:
        return
    indices = sorted(_find_indices(groups))
    place = f'{backbone.place}.keypoint_groups'
    if indices != list(range(len(indices))):
        twice = sorted({i for i in indices if indices.count(i) > 1})
        lacking = sorted(set(range(max(indices) + 1)) - set(indices))
        yield Finding(
            place,
            groups,
            f'keypoints must be in one group each; twice: {twice}, in none: '
            f'{lacking}',
            'name each keypoint once',
        )
        return
    counted = count_of_head(view.network.heads[''])
    if counted is not None and counted[1] != len(indices):
        yield Finding(
            place,
            groups,
            f'they hold {len(indices)} keypoints, {counted[0]}={counted[1]}',
            f'put keypoints 0 to {counted[1] - 1} into groups',
        )


def _find_indices(groups: Any) -> Iterator[int]:
    for group in groups:
        yield from group['sparse']
        for part in group.get('parts', ()):
            yield from part


def find_orders(view: View) -> Iterator[Finding]:
    """Check that codecs name each keypoint once."""
    for head in view.network.heads.values():
        decoder, counted = decoder_of(head), count_of_head(head)
        order = decoder.cfg.get('decode_keypoint_order')
        if order is None or counted is None:
            continue
        if sorted(order) != list(range(counted[1])):
            yield Finding(
                f'{decoder.place}.decode_keypoint_order',
                order,
                f'{counted[0]}={counted[1]}',
                'name each keypoint once',
            )


def find_other_skeletons(view: View) -> Iterator[Finding]:
    """Compare the keypoints of a head's metainfo with the datasets'."""
    for name, head in view.network.heads.items():
        given = head.cfg.get('metainfo')
        if given is None:
            continue
        names = list(read_names(_from_file(given)) or ())
        for leaf in view.leaves_of(name):
            theirs = list(names_of_data(view, leaf) or ())
            if names and theirs and names != theirs:
                differing = _first_difference(names, theirs)
                yield Finding(
                    f'{head.place}.metainfo',
                    given,
                    f'its {len(names)} keypoints are not the {len(theirs)} of '
                    f'{leaf.dataset.place}: {differing}',
                    'give both the same metainfo',
                )
                break


def _first_difference(ours: list[str], theirs: list[str]) -> str:
    for i, (one, other) in enumerate(zip(ours, theirs)):  # noqa: B905
        if one != other:
            return f'keypoint {i} is {one!r} and {other!r}'
    return 'one has more'


def count_of_head(head: Part) -> tuple[str, int] | None:
    """Return the dotted key and the value of K of a head."""
    cls = find_class(head.cfg, head.place)
    if cls is not None and 'metainfo' in head.cfg:
        names = read_names(_from_file(head.cfg['metainfo']))
        return (
            None if names is None else (f'{head.place}.metainfo', len(names))
        )
    decoder = decoder_of(head)
    for key in COUNTS:
        count = head.cfg.get(key)
        if isinstance(count, int) and not isinstance(count, bool):
            if key == 'out_channels' and not decoder.cfg:
                return None
            if decoder.get('heatmap_type') == 'combined':
                count //= 3
            return f'{head.place}.{key}', count
    return None


def count_of_data(view: View, leaf: Leaf) -> int | None:
    """Return K of the samples of a dataset, or None if it is unknown."""
    for step in reversed(leaf.steps):
        if step.kind == 'KeypointConverter':
            return step.cfg.get('num_keypoints')
    names = names_of_data(view, leaf)
    return None if names is None else len(names)


def names_of_data(view: View, leaf: Leaf) -> tuple[str, ...] | None:
    """Return the names of the keypoints of a dataset's samples."""
    if any(step.kind == 'KeypointConverter' for step in leaf.steps):
        return None
    cls = find_class(leaf.dataset.cfg, leaf.dataset.place)
    if cls is None or 'BaseMocapDataset' in [c.__name__ for c in cls.__mro__]:
        return None  # lifting may leave out the root
    own = leaf.dataset.cfg.get('metainfo') or getattr(cls, 'METAINFO', None)
    return read_names(_from_file(own)) if own else None


def _from_file(metainfo: Any) -> Any:
    return dict(from_file=metainfo) if isinstance(metainfo, str) else metainfo


def read_names(metainfo: dict) -> tuple[str, ...] | None:
    """Return the names of the keypoints of a metainfo."""
    infos = metainfo.get('keypoint_info')
    if infos is not None:
        return tuple(infos[i]['name'] for i in sorted(infos))
    if 'from_file' not in metainfo:
        return None
    return _read_file(metainfo['from_file'])


@lru_cache(maxsize=32)
def _read_file(file: str) -> tuple[str, ...] | None:
    """Execute a metainfo file, as the run will, without copies of it."""
    path = Path(file)
    if not path.is_file():
        path = MMPOSE_METAINFO / path.name
    content = runpy.run_path(str(path))
    info, base = content.get('dataset_info', {}), content.get('_base_')
    if base is None or 'keypoint_info' in info:
        return read_names(info)
    if isinstance(base, str) and base.startswith('mmpose::'):
        return _read_file(base)  # mmengine would search all metafiles
    return read_names(Config.fromfile(path).to_dict()['dataset_info'])


# ------------------------------------------------------- several datasets


def find_names(view: View) -> Iterator[Finding]:
    """Compare the names of the datasets of head, loaders and evaluators."""
    head = view.part('model').child('head')
    names = head.cfg.get('names')
    if not isinstance(names, list | tuple):
        return
    names = list(names)
    yield from _compare_keys(head, 'heads', names, True)
    experts = view.network.backbone.child('experts').cfg.get('num_experts')
    if experts is not None and experts != len(names):
        yield Finding(
            f'{view.network.backbone.place}.experts.num_experts',
            experts,
            f'the head has {len(names)} datasets {names}',
            f'set it to {len(names)}',
        )
    yield from _compare_test_options(view, names)
    for place in ('train', 'val', 'test'):
        dataset = view.part(f'{place}_dataloader').child('dataset')
        yield from _compare_names(dataset, names, head)
        yield from _compare_keys(dataset, 'datasets', names, False)
        yield from _compare_keys(dataset, 'sample_ratio_factor', names, False)
        evaluator = view.part(f'{place}_evaluator')
        yield from _compare_names(evaluator, names, head)
        if evaluator.kind == 'PerDatasetEvaluator':
            yield from _compare_keys(evaluator, 'metrics', names, False)
            yield from _compare_metrics(evaluator, dataset)


def _compare_names(
    part: Part, names: list[str], head: Part
) -> Iterator[Finding]:
    given = part.cfg.get('names')
    if given is not None and list(given) != names:
        yield Finding(
            f'{part.place}.names',
            given,
            f'{head.place}.names={names}: each sample would get the head of '
            'another dataset',
            'give all the same list in the same order',
        )


def _compare_keys(
    part: Part, key: str, names: list[str], exactly: bool
) -> Iterator[Finding]:
    given = part.cfg.get(key)
    if not isinstance(given, dict):
        return
    wrong = sorted(set(given) - set(names))
    lacking = sorted(set(names) - set(given)) if exactly else []
    if wrong or lacking:
        yield Finding(
            f'{part.place}.{key}',
            sorted(given),
            f'the names of the head are {names}; unknown: {wrong}, missing: '
            f'{lacking}',
            'use the same names',
        )


def _compare_metrics(evaluator: Part, dataset: Part) -> Iterator[Finding]:
    metrics = evaluator.cfg.get('metrics')
    data = dataset.cfg.get('datasets')
    if not isinstance(metrics, dict) or not isinstance(data, dict):
        return
    if set(metrics) != set(data):
        yield Finding(
            f'{evaluator.place}.metrics',
            sorted(metrics),
            f'{dataset.place}.datasets has {sorted(data)}',
            'give each dataset of the loader a metric',
        )


def _compare_test_options(view: View, names: list[str]) -> Iterator[Finding]:
    options = view.part('model').child('test_cfg')
    chosen = options.cfg.get('dataset')
    if chosen is not None and chosen not in names:
        yield Finding(
            f'{options.place}.dataset',
            chosen,
            f'the names of the head are {names}',
            'choose one of them',
        )
    yield from _compare_keys(options, 'datasets', names, False)
