"""``gtpt-mm run``: a script under the compat layer, as python would run it."""

import argparse
import difflib
import importlib.util
import os
import runpy
import sys
from pathlib import Path

HELP = "Run a script, mmpose's demos included, with gtpt_mm imported first."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument(
        'script',
        help="path of a script, or name of one of mmpose's demos, for "
        'instance inferencer_demo.py',
    )
    parser.add_argument(
        'arguments',
        nargs=argparse.REMAINDER,
        metavar='...',
        help="the script's own arguments",
    )


def run(args: argparse.Namespace) -> int:
    """Run the script; its exceptions and its exit code are those of python."""
    return run_script(find_script(args.script), args.arguments)


def run_script(path: str, arguments: list[str]) -> int:
    """Run a script as ``python path arguments`` would, after gtpt_mm.

    Raises:
        ImportError: If gtpt_mm could not repair the packages it needs.
    """
    import gtpt_mm

    if gtpt_mm.import_error is not None:
        raise gtpt_mm.import_error
    sys.argv = [path, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    try:
        runpy.run_path(path, run_name='__main__')
    except SystemExit:
        raise
    except BaseException as error:
        _end_as_python(error)
    return 0


def find_script(name: str) -> str:
    """Return the path of a script.

    Args:
        name: Its path, or the name of a demo of mmpose.

    Raises:
        ValueError: If there is none.
    """
    if os.path.isfile(name):
        return name
    demos = _demos()
    for path in demos:
        if path.name in (name, f'{name}.py'):
            return str(path)
    nearby = Path(name).absolute().parent
    known = {path.name for path in (*demos, *nearby.glob('*.py'))}
    near = difflib.get_close_matches(Path(name).name, sorted(known), 3)
    hint = f'did you mean {" or ".join(near)}?' if near else ''
    words = hint or f"mmpose's demos are {', '.join(p.name for p in demos)}"
    raise ValueError(f'there is no script {name}; {words}')


def _demos() -> list[Path]:
    """Return the demo scripts of mmpose."""
    found = importlib.util.find_spec('mmpose')
    if found is None or found.origin is None:
        return []
    folder = Path(found.origin).parent
    places = (folder / '.mim' / 'demo', folder.parent / 'demo')
    return sorted(path for place in places for path in place.glob('*.py'))


def _end_as_python(error: BaseException) -> None:
    """End with the traceback of the script alone, as python would."""
    trace = error.__traceback__
    ours = (__file__, runpy.__file__, '<frozen runpy>')
    while trace is not None and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)
    interrupted = isinstance(error, KeyboardInterrupt)
    raise SystemExit(130 if interrupted else 1)
