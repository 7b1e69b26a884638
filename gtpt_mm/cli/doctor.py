"""``gtpt-mm doctor``: what works here, what does not, and what to do."""

import argparse
import dataclasses
import json
import shutil
import textwrap

from .doctor_probes import BROKEN, MISSING, Row, diagnose

HELP = 'Check the installation and say how to repair it.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``gtpt-mm doctor``."""
    parser.add_argument(
        '--json', action='store_true', help='print rows as JSON, for programs'
    )


def run(args: argparse.Namespace) -> int:
    """Print the table; return 0 if everything necessary works, else 1."""
    rows = diagnose()
    stopped = [row.name for row in rows if row.stops]
    if args.json:
        table = [dataclasses.asdict(row) for row in rows]
        print(json.dumps(dict(works=not stopped, rows=table), indent=2))
    else:
        print(format_table(rows))
    return 1 if stopped else 0


def format_table(rows: list[Row]) -> str:
    """Return the table, then the remedies."""
    name_width = max(len(row.name) for row in rows) + 2
    found_width = min(max(len(row.found) for row in rows), 28) + 2
    indent = ' ' * (name_width + found_width + 9)
    width = max(shutil.get_terminal_size((100, 24)).columns, len(indent) + 30)
    lines = []
    for row in rows:
        status = row.status
        if status in (BROKEN, MISSING) and not row.needed:
            status += '*'
        head = f'{row.name:{name_width}}{row.found:{found_width}}{status:9}'
        lines += textwrap.wrap(
            head + row.note,
            width,
            subsequent_indent=indent,
            break_on_hyphens=False,
        )
    todo: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: not row.needed):
        if row.remedy:
            optional = '' if row.needed else ' (not necessary)'
            todo.setdefault(row.remedy, []).append(row.name + optional)
    if todo:
        lines.append('\nWhat to do')
    for remedy, names in todo.items():  # not wrapped, so that it can be copied
        lines.append(f'- {", ".join(names)}: {remedy}')
    stopped = [row.name for row in rows if row.stops]
    if stopped:
        lines.append(
            f'\nDoes not work yet: {", ".join(stopped)}. Follow the first '
            'line above, then run `gtpt-mm doctor` again: one cause often '
            'breaks several parts.'
        )
    else:
        lines.append('\nEverything necessary works.')
    return '\n'.join(lines)
