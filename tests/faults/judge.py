"""Cut what a script printed into cases, and judge each by its rule."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

OK, BAD, MISSING, SKIPPED = 'OK', 'BAD', 'MISSING', 'SKIPPED'
#: Bad in any case: code of a file ran, or a command showed its insides.
ALWAYS_BAD = (
    (r'CODE RAN', 'code of the file ran'),
    (r'^PWNED', 'code of the file ran'),
    (r'TRACEBACK|Traceback \(most recent call last\)', 'a traceback'),
    (
        r'Re-running `?torch\.load|documentation of torch\.load',
        'unsafe advice',
    ),
)
#: Lines that name a file whatever happens to it.
NOISE = re.compile(r'.*(Loads checkpoint by|load model from).*\n?')
EXCEPTIONS = re.compile(
    r'<!-- exceptions begin -->(.*?)<!-- exceptions end -->', re.S
)


class Case(NamedTuple):
    """What a script printed on one case."""

    name: str
    text: str

    @property
    def summary(self) -> str:
        """The line that tells most: the last one with words."""
        lines = [line.strip() for line in self.text.splitlines()]
        results = [line for line in lines if '-> ' in line[:4]]
        lines = results or [line for line in lines if line] or ['']
        return lines[0] if results else lines[-1]


class Rule(NamedTuple):
    """What a good outcome looks like.

    Args:
        good: Regular expressions that must all be found in the text.
        bad: Regular expressions of which none may be found.
        instead: Other expressions that may all be found in place of ``good``.
        otherwise: Verdict if a good one is not found. ``MISSING`` where
            nothing wrong is done but a safeguard or a word is absent.
        traceback: The script raises on purpose and catches nothing: a
            traceback is its way to show the error.
        mount: The case needs a file system mounted for it.
    """

    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    otherwise: str = BAD
    traceback: bool = False
    mount: bool = False


class Verdict(NamedTuple):
    """The judgement of one case, with its reason unless it is OK."""

    case: str
    verdict: str
    reason: str
    printed: str


def find(pattern: str, text: str) -> bool:
    """Return whether a pattern is in the text, its case ignored."""
    return re.search(pattern, text, re.I | re.M) is not None


def judge(case: Case, rule: Rule | None, can_mount: bool = True) -> Verdict:
    """Judge one case."""
    verdict, reason = _judge(NOISE.sub('', case.text), rule, can_mount)
    return Verdict(case.name, verdict, reason, case.summary)


def _judge(text: str, rule: Rule | None, can_mount: bool) -> tuple[str, str]:
    if rule is None:
        return BAD, 'no rule'
    if rule.mount and not can_mount:
        return SKIPPED, 'nothing can be mounted here'
    if not text.strip():
        return BAD, 'nothing was printed'
    for pattern, reason in ALWAYS_BAD:
        allowed = rule.traceback and reason == 'a traceback'
        if not allowed and re.search(pattern, text, re.M):
            return BAD, reason
    for pattern in rule.bad:
        if find(pattern, text):
            return BAD, f'prints /{pattern}/'
    if rule.instead and all(find(pattern, text) for pattern in rule.instead):
        return OK, ''
    for pattern in rule.good:
        if not find(pattern, text):
            return rule.otherwise, f'does not print /{pattern}/'
    return OK, ''


def judge_all(
    cases: Iterable[Case], rules: dict[str, Rule], can_mount: bool = True
) -> list[Verdict]:
    """Judge what a script printed; a case of the rules that is absent is bad.

    Args:
        cases: The cases found in the output.
        rules: The rules of the script by the names of its cases.
        can_mount: Whether file systems can be mounted.
    """
    verdicts = [judge(case, rules.get(case.name), can_mount) for case in cases]
    seen = {verdict.case for verdict in verdicts}
    for name, rule in rules.items():
        if name not in seen:
            verdict = _judge('', rule, can_mount)
            if verdict[0] == BAD:
                verdict = BAD, 'not run: the script ended before this case'
            verdicts.append(Verdict(name, *verdict, ''))
    return verdicts


# ------------------------------------------------------------------- cutting


def cut_after_heads(
    text: str, names: Iterable[str], head: str = '--- '
) -> list[Case]:
    """Cut at lines that begin a case.

    Args:
        text: What was printed.
        names: The known names; what follows a name belongs to its text.
        head: The text before the name.
    """
    known = _longest_first(names)
    cases: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith(head):
            line = line.removeprefix(head).strip()
            name = next(filter(line.startswith, known), line)
            cases.append((name, [line.removeprefix(name).strip()]))
        elif cases:
            cases[-1][1].append(line)
    return [Case(name, '\n'.join(lines)) for name, lines in cases]


def cut_at_results(
    text: str, names: Iterable[str], head: str = r'\[(td|gp|\d)\] '
) -> list[Case]:
    """Cut at lines ``[group] NAME: RESULT``, which end a case.

    What was logged before such a line belongs to it, and so do the indented
    lines that follow.

    Args:
        text: What was printed.
        names: The known names; a name may hold a colon itself.
        head: A regular expression of the text before the name.
    """
    known = _longest_first(names)
    cases: list[tuple[str, list[str]]] = []
    pending: list[str] = []
    for line in text.splitlines():
        found = re.match(head, line)
        if found:
            line = line[found.end() :]
            first = line.split(': ')[0]
            name = next((n for n in known if line.startswith(f'{n}:')), first)
            result = line.removeprefix(name).removeprefix(':').strip()
            cases.append((name, [*pending, f'-> {result}']))
            pending = []
        elif cases and not pending and line.startswith('  '):
            cases[-1][1].append(line)
        else:
            pending.append(line)
    return [Case(name, '\n'.join(lines)) for name, lines in cases]


def cut_nowhere(text: str, names: Iterable[str]) -> list[Case]:
    """Return everything as one case, under the only name."""
    (name,) = names
    return [Case(name, text)]


def _longest_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=len, reverse=True)


# ---------------------------------------------------------------- exceptions


def read_exceptions(page: Path) -> dict[str, str]:
    """Return the reasons of the cases that may be bad, by ``script: case``.

    They are the rows ``| script: case | reason |`` between the two comments
    ``exceptions begin`` and ``exceptions end`` of the page.
    """
    found = EXCEPTIONS.search(page.read_text()) if page.exists() else None
    if found is None:
        return {}
    rows = [line.split('|')[1:-1] for line in found[1].splitlines()]
    cells = [[cell.strip() for cell in row] for row in rows if len(row) == 2]
    return {
        case.strip('`'): reason
        for case, reason in cells[2:]  # after the head and its line
    }
