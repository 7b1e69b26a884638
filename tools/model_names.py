"""Write the table of model names, for the package and for the docs.

    python tools/model_names.py [--check]

The text of ``docs/model_names.md`` states the rule for short names; this
script implements it. ``--check`` writes nothing and fails if a file is not
current.
"""

import argparse
import re
import sys
from collections import defaultdict
from pathlib import Path

import yaml

from gtpt_mm.apis.weights import DRIVES, PUBLIC

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
TABLE = ROOT / 'gtpt_mm/model_table.py'
PAGE = ROOT / 'docs/model_names.md'
#: Sizes (height x width) that are left out of the short names.
DEFAULT_SIZES = {
    'gtpt': '256x192',
    'vitpose': '256x192',
    'hevitpose': '256x256',
    'ae-vitpose': '512x512',
    'group-pose': '800x1333',
}
#: Datasets that have another name in short names.
DATASET_WORDS = {'coco': '', 'six-datasets': '', 'coco-wholebody': 'wholebody'}


def split_name(stem: str) -> tuple[str, str, str]:
    """Return model, dataset and size of the name of a config."""
    *model, training, data = stem.split('_')
    options = [
        word
        for word in training.split('-')
        if not re.fullmatch(r'\d+xb\d+|\d+e', word)
    ]
    words = '-'.join([*model, *options]).removeprefix('td-hm-')
    dataset, _, size = data.rpartition('-')
    return words.replace('-res50', '-r50'), dataset, size


def find_short_names(stems: list[str]) -> dict[str, str]:
    """Return the short name of each config.

    Raises:
        ValueError: If two have the same.
    """
    parts = {stem: split_name(stem) for stem in stems}
    sizes = defaultdict(set)
    for model, dataset, size in parts.values():
        sizes[model, dataset].add(size)
    found = {}
    for stem, (model, dataset, size) in parts.items():
        family = max(
            (f for f in DEFAULT_SIZES if model.startswith(f)), key=len
        )
        height = size.partition('x')[0]
        same = [s for s in sizes[model, dataset] if s.startswith(f'{height}x')]
        words = [model, DATASET_WORDS.get(dataset, dataset)]
        if size != DEFAULT_SIZES[family]:
            words.append(size if len(same) > 1 else height)
        found[stem] = '-'.join(filter(None, words))
    twice = {n for n in found.values() if list(found.values()).count(n) > 1}
    if twice:
        raise ValueError(f'two configs are called {sorted(twice)}')
    return found


def find_aliases(short: dict[str, str]) -> dict[str, str]:
    """Return further names, of the metafiles, with the short name of each."""
    found = {}
    for path in sorted(CONFIGS.rglob('*.yml')):
        for model in yaml.safe_load(path.read_text())['Models']:
            aliases = model.get('Alias', [])
            for alias in [aliases] if isinstance(aliases, str) else aliases:
                name = short.get(model['Name'], model['Name'])
                if alias != name:
                    found[alias] = name
    return dict(sorted(found.items()))


def collect() -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Return the rows by name, and the aliases.

    A row is config, dataset, size (h x w) and weights. Configs on drawn
    samples and of pretraining have their full name only.
    """
    paths = {
        path.stem: path.relative_to(CONFIGS)
        for path in sorted(CONFIGS.rglob('*.py'))
        if '_base_' not in path.parts
    }
    short = find_short_names(
        [
            s
            for s, p in paths.items()
            if not {'sample', 'pretrain'} & {*p.parts}
        ]
    )
    rows = {}
    for stem, path in paths.items():
        _, dataset, size = split_name(stem)
        name = short.get(stem, stem)
        rows[name] = (path.as_posix(), dataset, size, find_weights(name))
    for name, weights in PUBLIC.items():
        if name not in rows:
            config, dataset, size, _ = rows.get(
                weights.model, ('', 'imagenet', '224x224', '')
            )
            rows[name] = (config, dataset, size, weights.source)
    return dict(sorted(rows.items())), find_aliases(short)


def find_weights(name: str) -> str:
    """Return where the weights of a model are; '' if there are none."""
    if name in PUBLIC:
        return PUBLIC[name].source
    return DRIVES[name].page if name in DRIVES else ''


def format_table(rows: dict, aliases: dict) -> str:
    """Return the text of the Python module."""
    lines = [
        '"""Names of models. Written by tools/model_names.py; not by hand."""',
        '',
        '# fmt: off',
        '# ruff: noqa: E501',
        '#: Name: config, dataset, size (h x w), weights.',
        'MODELS = {',
        *(f'    {name!r}: {row!r},' for name, row in rows.items()),
        '}',
        '#: Further names, of the metafiles.',
        'ALIASES = {',
        *(f'    {alias!r}: {name!r},' for alias, name in aliases.items()),
        '}',
    ]
    return '\n'.join(lines) + '\n'


def format_page(rows: dict, aliases: dict) -> str:
    """Return the text of the page: what stands there, with a new table."""
    text = PAGE.read_text() if PAGE.exists() else '<!-- table -->\n'
    lines = [
        '<!-- table -->',
        '',
        '| name | dataset | size (h x w) | weights | config |',
        '|---|---|---|---|---|',
    ]
    for name, (config, dataset, size, weights) in rows.items():
        if name != Path(config).stem:
            link = f'`{Path(config).stem}`' if config else 'an encoder'
            cells = name, dataset, size, describe(name, weights), link
            lines.append(
                '| ' + ' | '.join((f'`{cells[0]}`', *cells[1:])) + ' |'
            )
    lines += ['', 'Further names, as the metafiles have them:', '']
    lines += [', '.join(f'`{a}` ({n})' for a, n in aliases.items()) + '.']
    return text.partition('<!-- table -->')[0] + '\n'.join(lines) + '\n'


def describe(name: str, weights: str) -> str:
    """Return the cell of the weights."""
    if name not in PUBLIC:
        return f'[by hand]({weights})' if weights else ''
    entry = PUBLIC[name]
    place = {
        'huggingface': 'Hub',
        'mmpose': "mmpose's zoo",
        'timm': 'MAE of FAIR',
    }[entry.layout]
    return f'[{place}]({entry.page}), {entry.licence}'


def main() -> int:
    """Write both files, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='write nothing')
    check = parser.parse_args().check
    tables = collect()
    old = 0
    for path, text in (
        (TABLE, format_table(*tables)),
        (PAGE, format_page(*tables)),
    ):
        if not path.exists() or path.read_text() != text:
            old += 1
            print(
                f'{path.relative_to(ROOT)}', 'is old' if check else 'written'
            )
            if not check:
                path.write_text(text)
    return int(check and old > 0)


if __name__ == '__main__':
    sys.exit(main())
