"""Write the tables of docs/zoo.md from the results of ``projects.zoo.run``.

PYTHONPATH=. python -m projects.zoo.table work_dirs/zoo.json
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from projects.zoo.run import list_configs

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs/zoo.md'
BEGIN, END = '<!-- zoo begin -->', '<!-- zoo end -->'
STAGES = ('build', 'predict', 'train', 'export')
#: Meanings of errors, by a part of their text; the first match counts.
REASONS = (
    (
        'default_runtime.py not found',
        'never: it imports `mmpose.configs`, a package that neither wheel nor '
        'sdist of mmpose 1.3.2 has',
    ),
    (
        'the training of EDPose',
        'never: mmpose 1.3.2 has no loss for ED-Pose',
    ),
    (
        'no dataset HalpeHandDataset',
        'never: mmpose 1.3.2 has no class `HalpeHandDataset`',
    ),
    (
        'mmcls.VisionTransformer',
        'never: it names mmcls, which is called mmpretrain now; the other '
        'ViTPose configs name that',
    ),
    (
        "argument 'extra_mapping_labels'",
        'never: mmpose 1.3.2 has no option `extra_mapping_labels`',
    ),
    (
        'AmpOptimizerWrapper',
        "mmengine's `AmpOptimWrapper` needs a GPU",
    ),
)


def reason_of(result: str) -> str:
    """Return the meaning of a result, or the result itself."""
    for part, words in REASONS:
        if part in result:
            return words
    kind, _, text = result.partition(': ')
    if kind == 'skipped':
        return text
    return f'`{result}`' if '`' not in result else result


def write_page(results: dict, page: Path) -> None:
    """Replace the text between the markers of a page.

    Raises:
        ValueError: If the page has no markers.
    """
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f'{page} lacks {BEGIN} and {END}')
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    page.write_text(f'{head}{BEGIN}\n\n{make_tables(results)}\n\n{END}{tail}')


def make_tables(results: dict) -> str:
    """Return the sums, the table by algorithm and the list of exceptions."""
    return '\n\n'.join(
        (
            make_summary(results),
            make_overview(results),
            '### What does not work, and why',
            make_exceptions(results),
        )
    )


def make_summary(results: dict) -> str:
    """Return sentences with the sums."""
    entries = list(results.values())
    tried = [entry for entry in entries if entry['stages']]
    words = dict(build='build', predict='predict', train='train a step')
    sums = ', '.join(f'{count(tried, s)} {word}' for s, word in words.items())
    files = [
        entry
        for entry in tried
        if 'same_as' not in entry and entry['stages'].get('export') == 'ok'
    ]
    text = f'Of {len(entries)} configs {len(tried)} were tried: {sums}. '
    if not files:
        return text + 'No network has been exported yet.'
    largest = max(entry['deviation'] for entry in files)
    return (
        f'{text}{len(files)} networks were exported to ONNX, which stand for '
        f'{count(tried, "export")} configs; onnxruntime differs from PyTorch '
        f'by at most {largest:.0e} of the largest output.'
    )


def count(entries: Iterable[dict], stage: str) -> int:
    """Return how many configs passed a stage."""
    return sum(entry['stages'].get(stage) == 'ok' for entry in entries)


def make_overview(results: dict) -> str:
    """Return the table with one row for each folder and algorithm."""
    groups = defaultdict(list)
    for name, entry in results.items():
        task, algorithm = name.split('/')[1:3]
        groups[task, algorithm].append(entry)
    lines = [
        '| task | algorithm | configs | tried | build | predict | train '
        '| ONNX |',
        '|---|---|---:|---:|---:|---:|---:|---:|',
    ]
    for (task, algorithm), entries in sorted(groups.items()):
        tried = sum(bool(entry['stages']) for entry in entries)
        numbers = [count(entries, stage) for stage in STAGES]
        cells = [task, algorithm, len(entries), tried, *numbers]
        lines.append('| ' + ' | '.join(map(str, cells)) + ' |')
    return '\n'.join(lines)


def make_exceptions(results: dict) -> str:
    """Return the table of stages that failed or have nothing to do."""
    groups = defaultdict(list)
    for name, entry in results.items():
        for stage, result in entry['stages'].items():
            if result != 'ok':
                algorithm = '/'.join(name.split('/')[1:3])
                groups[algorithm, stage, reason_of(result)].append(name)
    lines = ['| configs | does not | why |', '|---|---|---|']
    for (algorithm, stage, reason), names in sorted(groups.items()):
        which = f'{len(names)} of {algorithm}'
        if len(names) == 1:
            which = f'`{Path(names[0]).stem}`'
        words = reason.replace('|', '\\|')
        lines.append(f'| {which} | {stage} | {words} |')
    if len(lines) == 2:
        return 'Nothing.'
    return '\n'.join(lines)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('results', type=Path, help='JSON file')
    parser.add_argument('--page', type=Path, default=PAGE)
    args = parser.parse_args()
    results = json.loads(args.results.read_text())
    for name in list_configs():
        results.setdefault(name, dict(stages={}))
    write_page(results, args.page)


if __name__ == '__main__':
    main()
