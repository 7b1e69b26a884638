"""The bar passes items on, counts, and is closed."""

from gtpt_mm.apis.progress import show_progress


def test_items_pass_and_are_counted(capsys):
    assert list(show_progress(range(7), total=7, enabled=True)) == [*range(7)]
    shown = capsys.readouterr().err
    assert '7/7' in shown and 'frame/s' in shown and '100%' in shown


def test_unknown_and_wrong_totals(capsys):
    assert list(show_progress(iter('abc'), enabled=True)) == ['a', 'b', 'c']
    assert '3frame' in capsys.readouterr().err
    assert len(list(show_progress(range(5), total=3, enabled=True))) == 5


def test_no_bar_away_from_a_terminal(capsys):
    assert list(show_progress(range(3), total=3)) == [0, 1, 2]
    assert capsys.readouterr().err == ''


def test_closing_it_closes_the_bar_and_the_source(capsys):
    ended = []

    def source():
        try:
            yield from range(9)
        finally:
            ended.append(True)

    bar = show_progress(source(), total=9, enabled=True)
    assert next(bar) == 0
    bar.close()
    assert ended == [True]
    assert capsys.readouterr().err.endswith('\n')
