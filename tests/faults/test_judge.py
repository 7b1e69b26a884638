"""The judge of the shared cases: what it cuts, and what it finds bad."""

import re

import pytest
from faults.judge import (
    BAD,
    MISSING,
    OK,
    SKIPPED,
    Case,
    Rule,
    cut_after_heads,
    cut_at_results,
    judge,
    judge_all,
    read_exceptions,
)
from faults.rules import error, fine
from faults.run import PAGE, main
from faults.scripts import SCRIPTS


def verdict(text: str, rule: Rule | None, **options) -> str:
    return judge(Case('a case', text), rule, **options).verdict


def test_a_case_without_a_rule_is_bad():
    found = judge(Case('new', '-> no error'), None)
    assert (found.verdict, found.reason) == (BAD, 'no rule')


@pytest.mark.parametrize(
    'text, expected',
    [
        ('-> ValueError: a.json: annotation 7 has 16 keypoints', OK),
        ('-> builtins.ValueError : a.json, annotation 7', OK),
        # Names the file, not the person.
        ("-> ValueError: 'a.json is bad'", BAD),
        ('-> no error; a.json, annotation 7', BAD),
        # Says the same in the log only, and goes on.
        ('a.json, annotation 7\n-> no error', BAD),
        ('a.json, annotation 7', BAD),
        ('', BAD),
    ],
)
def test_error_wants_an_exception_with_the_words(text, expected):
    assert verdict(text, error(r'a\.json', r'annotation \d+')) == expected


@pytest.mark.parametrize(
    'text, expected',
    [
        ('-> no error; 4 samples; loss=0.5', OK),
        ('-> no error; 4 samples; loss=nan', BAD),
        ('-> no error; 3 samples; loss=0.5', BAD),
        ('-> KeyError: 4 samples', BAD),
    ],
)
def test_fine_wants_words_and_none_of_the_bad_ones(text, expected):
    assert verdict(text, fine('4 samples', bad=(r'\bnan\b',))) == expected


@pytest.mark.parametrize(
    'text',
    [
        'Traceback (most recent call last)\nrc=2 a.pth',
        'rc=TRACEBACK EOFError: a.pth rc=2',
        '-> no error rc=2 a.pth\n  !!!! CODE RAN [PWNED]',
        'rc=2 a.pth\nPWNED_1',
        'rc=2 a.pth Re-running `torch.load` with `weights_only` set to',
    ],
)
def test_tracebacks_code_and_unsafe_advice_are_always_bad(text):
    rule = Rule(('rc=2', r'a\.pth'))
    assert verdict('rc=2 a.pth', rule) == OK
    assert verdict(text, rule) == BAD


def test_a_rule_may_expect_a_traceback():
    text = 'Traceback (most recent call last)\nValueError: not finite'
    assert verdict(text, Rule(('finite',), traceback=True)) == OK
    assert verdict(f'{text}\nCODE RAN', Rule(traceback=True)) == BAD


def test_an_absent_safeguard_is_missing_a_wrong_result_is_bad():
    rule = Rule(('dropped',), bad=('nan',), otherwise=MISSING)
    assert verdict('-> no error', rule) == MISSING
    assert verdict('-> no error, nan', rule) == BAD
    assert verdict('1 dropped', rule) == OK


def test_either_of_two_outcomes_is_fine_but_not_half_of_each():
    rule = Rule(('rc 0', 'resumed'), instead=('rc 1', 'load_from'))
    assert verdict('rc 0\nresumed', rule) == OK
    assert verdict('rc 1\nuse load_from', rule) == OK
    assert verdict('rc 1\nresumed', rule) == BAD


def test_without_mounts_a_case_is_skipped():
    rule = Rule(('space',), mount=True)
    assert verdict('', rule, can_mount=False) == SKIPPED
    assert verdict('', rule) == BAD


def test_a_case_that_never_came_is_bad():
    rules = {'first': Rule(), 'second': Rule()}
    found = judge_all([Case('first', 'x')], rules)
    assert [(v.case, v.verdict) for v in found] == [
        ('first', OK),
        ('second', BAD),
    ]
    assert 'not run' in found[1].reason


def test_a_line_that_always_names_the_file_does_not_count():
    text = 'Loads checkpoint by local backend from path: a.pth\n-> EOFError:'
    assert verdict(text, error(r'a\.pth')) == BAD


def test_results_take_the_log_before_and_the_notes_after_them():
    text = (
        'logged\n[td] test_mode: box: no error\n   note\n'
        'more\n[td] plain: ValueError: 3: 4'
    )
    first, second = cut_at_results(text, ['test_mode: box', 'plain'])
    assert first == ('test_mode: box', 'logged\n-> no error\n   note')
    assert second == ('plain', 'more\n-> ValueError: 3: 4')
    # An unknown name ends at the first colon.
    assert cut_at_results(text, [])[0].name == 'test_mode'


def test_heads_give_what_follows_a_known_name_to_the_text():
    text = 'before\n== show rc 0\na.png\n== other thing\n'
    first, second = cut_after_heads(text, ['show'], '== ')
    assert first == ('show', 'rc 0\na.png')
    assert second.name == 'other thing'


def test_exceptions_are_the_rows_between_the_marks(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text(
        '| x: y | no |\n<!-- exceptions begin -->\n\n| case | reason |\n'
        '|---|---|\n| `numbers: AMP` | no GPU |\n<!-- exceptions end -->\n'
        '| a: b | no |\n'
    )
    assert read_exceptions(page) == {'numbers: AMP': 'no GPU'}
    assert read_exceptions(tmp_path / 'absent.md') == {}


def test_each_exception_of_the_page_is_a_case_and_has_a_reason():
    names = {
        f'{script.name}: {case}'
        for script in SCRIPTS.values()
        for case in script.rules
    }
    for case, reason in read_exceptions(PAGE).items():
        assert case in names
        assert len(reason) > 20


def test_what_the_page_names_exists():
    text, root = PAGE.read_text(), PAGE.parents[1]
    tests = set(re.findall(r'(?:test_\w+/)+test_\w+\.py', text))
    assert len(tests) > 20
    for name in tests:
        assert (root / 'tests' / name).is_file(), name
    for name in re.findall(r'`(compat/\w[\w/]*(?:\.py|/))`', text):
        assert (root / 'gtpt_mm' / name).exists(), name


def test_expressions_compile():
    for script in SCRIPTS.values():
        for rule in script.rules.values():
            for pattern in (*rule.good, *rule.bad, *rule.instead):
                re.compile(pattern)


def test_every_shared_script_is_run_or_used_by_one(shared_dir):
    used = ' '.join(' '.join(s.command) for s in SCRIPTS.values())
    helpers = {  # started or imported by the others
        'cmp.py common.py ddp.py draw.py gp_starfish.py gtpt_starfish.py '
        'gtpt_tb.py infer.py killat.py killslow.py mkevil.py raw_vs_ema.py '
        'slowtrain.py starfish.py te.sh tr.sh vit_starfish.py'
    }.pop()
    for folder in ('faults/cases', 'bugs/training'):
        for path in (shared_dir / folder).glob('*.*'):
            assert path.name in f'{used} {helpers}'.split(), path


def test_rules_find_bad_what_was_found_bad(shared_dir):
    """What all_cases.md says was printed before anything was mended."""
    tables = {
        '2': ['checkpoints'],
        '3': ['silent_codec'],
        '4': ['numbers'],
        '5': ['configs', 'silent_codec'],
        '6': ['cli_split', 'cli_vis'],
        'td': ['bad_data_td'],
        'gp': ['bad_data_gp'],
    }
    page = (shared_dir / 'faults' / 'all_cases.md').read_text()
    row = re.compile(r'^\| (\d) \| (.*?) \| (.*) \| (BAD|MISSING) \|$', re.M)
    count = 0
    for group, name, printed, expected in row.findall(page):
        kind = re.match(r'\[(td|gp)\] ', name)
        for script in tables.get(kind[1] if kind else group, ()):
            name = name.removeprefix(kind[0]) if kind else name
            rule = SCRIPTS[script].rules.get(name)
            if rule is not None:
                found = verdict(f'-> {printed}', rule)
                assert found != OK, (script, name, printed, expected)
                count += 1
    assert count > 100


@pytest.mark.slow
def test_scripts_run_and_their_cases_are_judged(shared_dir, tmp_path, capsys):
    names = ['silent_codec', '12_schedules']
    arguments = ['--shared', str(shared_dir), '--work', str(tmp_path)]
    main([*names, *arguments])
    printed = capsys.readouterr().out
    for case in ('silent_codec: Group Pose, batch of 1', '12_schedules: sh'):
        assert re.search(rf'^OK +{re.escape(case)}', printed, re.M)
    assert 'not run' not in printed
    assert 'no rule' not in printed
    # What is kept is judged alike.
    main([*names, *arguments, '--again'])
    again = capsys.readouterr().out
    rows = re.compile(r'^(?:OK|BAD|MISSING) .*', re.M)
    assert rows.findall(again) == rows.findall(printed)
