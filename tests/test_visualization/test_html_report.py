"""Reports of one file."""

import warnings

from gtpt_mm.visualization.html_report import Report, new_figure


def test_names_of_any_language_in_plots(tmp_path):
    """The font of matplotlib lacks these letters, a browser has them."""
    report = Report('errors')
    figure = new_figure(4, 3)
    figure.subplots().bar(['左手', 'кисть'], [1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        report.plot(figure)
    report.write(tmp_path / 'report.html')
    page = (tmp_path / 'report.html').read_text(encoding='utf-8')
    assert '左手</text>' in page
    assert 'кисть</text>' in page
