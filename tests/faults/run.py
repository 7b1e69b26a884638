"""Run the shared cases of faults and complaints, and judge each of them.

    python tests/faults/run.py                   all, half an hour or more
    python tests/faults/run.py checkpoints b7    some scripts
    python tests/faults/run.py --list            their names

Each case is OK, BAD (a wrong result, lost data, code run, a traceback, a
message that names nothing) or MISSING (a safeguard or a word is absent). The
exit code is 1 if any is BAD or MISSING that docs/reliability.md does not list
with a reason.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

# Run as a file, the folder of this package is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.judge import (
    BAD,
    MISSING,
    OK,
    SKIPPED,
    Verdict,
    judge_all,
    read_exceptions,
)
from faults.scratch import MARK, ROOT, Scratch
from faults.scripts import SCRIPTS, Script

PAGE = ROOT / 'docs' / 'reliability.md'


def main(argv: list[str] | None = None) -> int:
    """Run scripts, print the table, return the exit code."""
    args = _parse(argv)
    if args.list:
        for script in SCRIPTS.values():
            print(f'{script.name:24} {script.about}')
        return 0
    if not (args.shared / 'faults' / 'cases').is_dir():
        print(f'no faults/cases in {args.shared}; see --shared')
        return 2
    # Started in the background, this process ignores SIGINT, and so would all
    # that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    exceptions = read_exceptions(PAGE)
    with contextlib.ExitStack() as stack:
        work = args.work or Path(
            stack.enter_context(tempfile.TemporaryDirectory())
        )
        scratch = Scratch(work, args.shared)
        can_mount = _can_mount(scratch.path)
        verdicts = []
        for name in args.scripts or SCRIPTS:
            found = run_script(SCRIPTS[name], scratch, can_mount, args.again)
            _print_rows(found, exceptions)
            verdicts += found
    return _close(verdicts, exceptions)


def run_script(
    script: Script, scratch: Scratch, can_mount: bool, again: bool = False
) -> list[Verdict]:
    """Run one script in the scratch folder and judge its cases.

    Args:
        script: The script.
        scratch: The folder.
        can_mount: Whether file systems can be mounted there.
        again: Judge the output of an earlier run if there is one.
    """
    log = scratch.path / 'output' / f'{script.name}.txt'
    if again and log.exists():
        print(f'== {script.name}: judged again')
    else:
        _run_into(log, script, scratch)
    text = log.read_text(errors='replace')
    text = text.replace(str(scratch.path), '@WORK@')
    verdicts = judge_all(script.cut(text), script.rules, can_mount)
    return [
        verdict._replace(case=f'{script.name}: {verdict.case}')
        for verdict in verdicts
    ]


def _run_into(log: Path, script: Script, scratch: Scratch) -> None:
    """Make what a script needs, run it, and keep all that it printed."""
    scratch.fill()
    try:
        for part in script.needs:
            scratch.prepare(part)
    except RuntimeError as error:
        log.write_text(f'not prepared: {error}')
        print(f'== {script.name}: not prepared: {error}', flush=True)
        return
    start = time.monotonic()
    ended = _run(script.command, scratch, log, script.limit)
    if script.output:
        with log.open('a') as file, contextlib.suppress(FileNotFoundError):
            own = scratch.path / script.output
            file.write(own.read_text(errors='replace'))
    took = time.monotonic() - start
    late = '' if ended else f'; STOPPED at its limit of {script.limit} s'
    print(f'== {script.name}: {took:.0f} s{late}', flush=True)


def _run(command: list[str], scratch: Scratch, log: Path, limit: int) -> bool:
    """Run a command into a file; return whether it ended within the limit."""
    with log.open('w') as file:
        process = subprocess.Popen(
            command,
            cwd=scratch.path,
            env=scratch.env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            return False
        finally:
            _kill_marked(scratch)
            process.wait()
            _unmount(scratch.path)
    return True


def _kill_marked(scratch: Scratch) -> None:
    """Kill the processes that a script left, in whatever session they are."""
    mark = f'{MARK}={scratch.path}'.encode()
    for folder in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            if mark in (folder / 'environ').read_bytes().split(b'\0'):
                os.kill(int(folder.name), signal.SIGKILL)


def _unmount(folder: Path) -> None:
    """Unmount the file systems that a stopped script left mounted."""
    for line in Path('/proc/mounts').read_text().splitlines():
        place = line.split()[1]
        if place.startswith(f'{folder}/'):
            subprocess.call(['umount', '-l', place])


def _can_mount(folder: Path) -> bool:
    """Return whether a tmpfs can be mounted in this folder."""
    place = folder / 'mnt_probe'
    place.mkdir(exist_ok=True)
    command = ['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', str(place)]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.call(command, stderr=subprocess.DEVNULL) == 0:
            subprocess.call(['umount', str(place)])
            return True
    return False


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0],
        epilog='Scripts: ' + ', '.join(SCRIPTS),
    )
    shared = os.environ.get('GTPT_MM_SHARED', ROOT.parent / 'shared')
    add = parser.add_argument
    add('scripts', nargs='*', metavar='SCRIPT', help='scripts; all if none')
    add('--shared', type=Path, default=Path(shared), help='the shared folder')
    add('--work', type=Path, help='scratch folder, kept; temporary if absent')
    add('--again', action='store_true', help='judge what --work has kept')
    add('--list', action='store_true', help='list the scripts')
    args = parser.parse_args(argv)
    unknown = [name for name in args.scripts if name not in SCRIPTS]
    if unknown:
        parser.error(f'no script {unknown}; there are {list(SCRIPTS)}')
    return args


def _print_rows(verdicts: list[Verdict], exceptions: dict[str, str]) -> None:
    """Print one line for each case of a script."""
    for case, verdict, reason, printed in verdicts:
        if verdict in (BAD, MISSING) and case in exceptions:
            verdict, reason = f'({verdict})', f'listed: {exceptions[case]}'
        note = f'  <- {reason}' if reason else ''
        print(f'{verdict:9} {case}{note}')
        if printed and verdict != OK:
            print(f'{"":9}   {printed[:200]}', flush=True)


def _close(verdicts: list[Verdict], exceptions: dict[str, str]) -> int:
    """Print totals and what decides; return the exit code."""
    count = Counter(verdict.verdict for verdict in verdicts)
    print('\n', ', '.join(f'{key} {n}' for key, n in sorted(count.items())))
    open_cases = [v for v in verdicts if v.verdict in (BAD, MISSING)]
    unlisted = [v for v in open_cases if v.case not in exceptions]
    for verdict in unlisted:
        print(f'{verdict.verdict:8} {verdict.case}  <- {verdict.reason}')
    fine = {v.case for v in verdicts if v.verdict in (OK, SKIPPED)}
    for case in sorted(fine & set(exceptions)):
        print(f'{PAGE.name} lists {case}, which is OK now')
    return int(bool(unlisted))


if __name__ == '__main__':
    sys.exit(main())
