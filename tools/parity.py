"""Measure how far the models are from the authors' code; write the tables.

    python tools/parity.py            # five minutes; needs ../shared/goldens

Runs the tests that compare with recordings of the official code. They record
both sides of each comparison (``tests/support/parity.py``); the largest
deviations go between the markers of docs/parity.md and README.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tests'))

from support.parity import PARTS, VARIABLE  # noqa: E402

BEGIN, END = '<!-- parity begin -->', '<!-- parity end -->'
PAGE = 'docs/parity.md'
#: Test files that note deviations.
TESTS = (
    'tests/test_models/test_gtpt_goldens.py',
    'tests/test_models/test_gtpt_head.py',
    'tests/test_models/test_global_perceived_loss.py',
    'tests/test_codecs/test_wholebody_decoding.py',
    'tests/test_convert/test_gtpt.py',
    'tests/test_models/test_vitpose_goldens.py',
    'tests/test_models/test_vitpose_plus_goldens.py',
    'tests/test_models/test_vitpose_decoding_goldens.py',
    'tests/test_convert/test_vitpose.py',
    'tests/test_models/test_group_pose_goldens.py',
    'tests/test_models/test_group_pose_steps.py',
    'tests/test_models/test_group_pose_criterion.py',
    'tests/test_models/test_group_pose_full_size.py',
)
#: Models, and what they are compared with.
SOURCES = {
    'GTPT': 'official code, f3a6068',
    'HEViTPose': 'the paper: **there is no official code**',
    'ViTPose': 'official code, c050ed2',
    'ViTPose++': 'official code, c050ed2',
    'Group Pose': 'official code, 127fe0e',
}
#: The row of a model without official code.
PAPER_TEST = 'tests/test_models/test_hevitpose_costs.py'
PAPER_ONLY = 'parameters and FLOPs of the 12 rows of its tables: {} equal'
PAPER_NUMBERS = '24 of 24 printed numbers'

EMPTY = 'not recorded'


def measure() -> dict:
    """Run the tests; return the deviations that they recorded.

    Raises:
        SystemExit: If a test fails or lacks its recordings.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'parity.json'
        environment = os.environ | {
            VARIABLE: str(file),
            'GTPT_MM_REQUIRE_GOLDENS': '1',
        }
        command = [sys.executable, '-m', 'pytest', '-q', *TESTS]
        code = subprocess.call(command, cwd=ROOT, env=environment)
        if code:
            raise SystemExit(f'pytest ended with {code}: no table is written')
        return json.loads(file.read_text())


def make_table(noted: dict, root: str | None) -> str:
    """Return the table of the largest deviations.

    Args:
        noted: By model and part, as ``support.parity`` writes it.
        root: Path of the repository's root from the page, for links to the
            tests; None for none.
    """
    units = {'decoding': 'decoding, pixels'}
    heads = ['model', 'compared with', *(units.get(p, p) for p in PARTS)]
    lines = [
        f'| {" | ".join(heads)} |',
        '|---|---|' + '---:|' * len(PARTS),
    ]
    for model, source in SOURCES.items():
        cells = [make_cell(noted, model, part, root) for part in PARTS]
        if model == 'HEViTPose':
            cells = [PAPER_ONLY.format(link(PAPER_NUMBERS, PAPER_TEST, root))]
            cells += ['-'] * (len(PARTS) - 1)
        lines.append(f'| {" | ".join([model, source, *cells])} |')
    return '\n'.join(lines)


def make_cell(noted: dict, model: str, part: str, root: str | None) -> str:
    """Return the deviation with a link to the file of its test."""
    cell = noted.get(model, {}).get(part)
    if cell is None:
        return EMPTY
    deviation = cell['deviation']
    text = 'equal' if deviation == 0 else f'{deviation:.0e}'
    return link(text, cell['test'].partition('::')[0], root)


def link(text: str, path: str, root: str | None) -> str:
    """Return a text with a link to a file, if links are wanted."""
    return text if root is None else f'[{text}]({root}{path})'


def make_list(noted: dict) -> str:
    """Return one row for each cell: its test and its count of numbers."""
    lines = [
        '| model | part | largest deviation | of numbers | test |',
        '|---|---|---:|---:|---|',
    ]
    for model, parts in noted.items():
        for part in PARTS:
            if part in parts:
                cell = parts[part]
                test = cell['test'].removeprefix('tests/')
                words = [
                    model,
                    part,
                    f'{cell["deviation"]:.1e}',
                    f'{cell["numbers"]:,}',
                    f'`{test}`',
                ]
                lines.append(f'| {" | ".join(words)} |')
    return '\n'.join(lines)


def replace(file: Path, content: str) -> None:
    """Put content between the markers of a page.

    Raises:
        ValueError: If the page has no markers.
    """
    text = file.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f'{file} lacks {BEGIN} and {END}')
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    file.write_text(f'{head}{BEGIN}\n\n{content}\n\n{END}{tail}')


def main() -> None:
    """Measure and write both pages."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--noted', type=Path, help='JSON of an earlier run; runs no test'
    )
    parser.add_argument('--save', type=Path, help='JSON to write')
    args = parser.parse_args()
    noted = json.loads(args.noted.read_text()) if args.noted else measure()
    if args.save:
        args.save.write_text(json.dumps(noted, indent=1))
    noted = {model: noted[model] for model in SOURCES if model in noted}
    replace(ROOT / 'README.md', make_table(noted, ''))
    replace(ROOT / PAGE, f'{make_table(noted, None)}\n\n{make_list(noted)}')


if __name__ == '__main__':
    main()
