"""Run the steps of a GitHub workflow here, or check all workflows.

    python tools/workflow_steps.py .github/workflows/ci.yml            # print
    python tools/workflow_steps.py .github/workflows/ci.yml --job lint --run
    python tools/workflow_steps.py --check

Of a matrix, the first combination is used; ``--set matrix.python=3.12``
chooses another. Steps that use an action are printed but not run: the checkout
and the interpreter exist already. ``--check`` checks that every step of the
workflows and of .ci/run is one ``make`` with targets of the Makefile.
"""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = '.github/workflows/*.yml'
EXPRESSION = re.compile(r'\$\{\{\s*([\w.-]+)\s*\}\}')


class Step(NamedTuple):
    """A step of a job.

    Attributes:
        job: Name of the job.
        run: Command, '' for an action.
        uses: Action, '' for a command.
    """

    job: str
    run: str
    uses: str


def read_steps(path: Path, values: dict[str, str]) -> Iterator[Step]:
    """Yield the steps of a workflow with their expressions filled in.

    Args:
        path: The workflow.
        values: Values of expressions, ``{'matrix.python': '3.12'}``.

    Raises:
        ValueError: If a command has an expression without a value.
    """
    workflow = yaml.safe_load(path.read_text())
    for job, content in workflow['jobs'].items():
        matrix = content.get('strategy', {}).get('matrix', {})
        known = {f'matrix.{key}': str(v[0]) for key, v in matrix.items()}
        known |= values
        for step in content['steps']:
            try:
                run = fill(step.get('run', '').strip(), known)
            except KeyError as error:
                raise ValueError(
                    f'{path.name}, job {job}: no value of {error}; give it '
                    f'with --set NAME=VALUE'
                ) from error
            yield Step(job, run, step.get('uses', ''))


def fill(command: str, values: dict[str, str]) -> str:
    """Replace expressions by their values.

    Raises:
        KeyError: If a value is missing.

    Example:
        >>> fill('make test PYTHON=python${{ matrix.python }}',
        ...      {'matrix.python': '3.12'})
        'make test PYTHON=python3.12'
    """
    return EXPRESSION.sub(lambda found: values[found[1]], command)


def find_targets(root: Path = ROOT) -> set[str]:
    """Return the targets of the Makefile."""
    text = (root / 'Makefile').read_text()
    return set(re.findall(r'^([a-z][\w-]*):', text, re.MULTILINE))


def find_faults(command: str, targets: set[str]) -> list[str]:
    """Return the faults in a command of a workflow.

    Example:
        >>> find_faults('make lint PYTHON=python3.12', {'lint'})
        []
        >>> find_faults('make lnit', {'lint'})
        ["no target 'lnit' in the Makefile"]
        >>> find_faults('pytest', {'lint'})
        ["'pytest' is no make target"]
    """
    faults = []
    for line in command.splitlines():
        name, *words = shlex.split(line)
        if name != 'make':
            faults.append(f'{line!r} is no make target')
        for word in words if name == 'make' else ():
            if '=' not in word and word not in targets:
                faults.append(f'no target {word!r} in the Makefile')
    return faults


def check(root: Path = ROOT) -> list[str]:
    """Return the faults of all workflows and of .ci/run."""
    targets = find_targets(root)
    values = {'github.ref_name': 'v0.0.0'}
    faults = []
    for path in sorted(root.glob(WORKFLOWS)):
        for step in read_steps(path, values):
            found = find_faults(step.run, targets) if step.run else []
            if not step.run and not step.uses:
                found = ['a step neither runs nor uses anything']
            faults += [f'{path.name}, {step.job}: {x}' for x in found]
    script = (root / '.ci/run').read_text().splitlines()
    for line in (x for x in script if x.startswith('make ')):
        faults += [f'.ci/run: {x}' for x in find_faults(line, targets)]
    return faults


def run(steps: list[Step], is_run: bool) -> int:
    """Print the steps and run them; return the first exit code above 0."""
    for step in steps:
        print(f'[{step.job}] {step.run or "(left out) " + step.uses}')
        if not (is_run and step.run):
            continue
        # As GitHub does: every line must succeed.
        command = ['bash', '--noprofile', '--norc', '-eo', 'pipefail', '-c']
        sys.stdout.flush()
        if code := subprocess.call([*command, step.run], cwd=ROOT):
            print(f'[{step.job}] failed with exit code {code}')
            return code
    return 0


def main(argv: list[str] | None = None) -> int:
    """Return the exit code of the first step that fails."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('workflow', type=Path, nargs='?')
    parser.add_argument('--job', help='only this job')
    parser.add_argument('--run', action='store_true', help='run the steps')
    parser.add_argument('--check', action='store_true')
    parser.add_argument(
        '--set', nargs='+', default=[], metavar='NAME=VALUE', dest='values'
    )
    args = parser.parse_args(argv)
    if args.check:
        faults = check()
        print('\n'.join(faults) or 'workflows call targets that exist')
        return int(bool(faults))
    if args.workflow is None:
        parser.error('name a workflow, or --check')
    values = dict(value.split('=', 1) for value in args.values)
    try:
        steps = [*read_steps(args.workflow, values)]
    except (OSError, ValueError) as error:
        parser.error(str(error))
    steps = [step for step in steps if args.job in (None, step.job)]
    if not steps:
        parser.error(f'{args.workflow} has no job {args.job!r}')
    return run(steps, args.run)


if __name__ == '__main__':
    sys.exit(main())
