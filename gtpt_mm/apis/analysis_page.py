"""The page of an analysis: tables, plots and the worst pictures."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gtpt_mm.evaluation.errors import PCK_THRESHOLD
from gtpt_mm.ops.coco_evaluation import KEYPOINT_KINDS
from gtpt_mm.visualization.error_pictures import draw_errors, read_picture
from gtpt_mm.visualization.html_report import Report, new_figure

if TYPE_CHECKING:
    from .analysis import Analysis, Case

#: What the kinds mean, in the order of the table.
MEANINGS = dict(
    miss='far from every keypoint it could be confused with',
    swap='on another instance',
    inversion='on the other side (left, right) of the same instance',
    jitter='near, but farther than people disagree',
    score='scores do not follow OKS; counted: instances that a worse '
    'prediction takes',
    duplicate='a second prediction of an instance that was found',
    background_false_positive='a prediction where nothing is annotated',
    false_negative='an instance that no prediction is near',
)
GROUPS = dict(
    size='By size (root of the area)',
    labelled_keypoints='By number of labelled keypoints',
    crowding='By number of others whose boxes overlap (IoU > 0.1)',
)
COLORS = dict(
    good='#7fb069', jitter='#f2c14e', inversion='#d96459',
    swap='#8063a3', miss='#8c4646', not_found='#bbbbbb',
)  # fmt: skip


def add_analysis(analysis: 'Analysis', report: Report, pictures: int) -> None:
    """Add an analysis to a page."""
    report.text(
        f'AP {analysis.ap:.3f}; PCK@{PCK_THRESHOLD} of the longer side of '
        f'the box {analysis.pck:.3f}; '
        f'{int((~analysis.poses.truth.ignored).sum())} annotated instances, '
        f'{len(analysis.poses.predictions)} predictions.'
    )
    _add_errors(analysis, report)
    _add_keypoints(analysis, report)
    _add_groups(analysis, report)
    _add_curves(analysis, report)
    _add_calibration(analysis, report)
    _add_pictures(analysis, report, pictures)


def _add_errors(analysis: 'Analysis', report: Report) -> None:
    report.heading('Errors by kind')
    report.text(
        'After Ronchi and Perona (2017). "AP without" corrects this kind '
        'alone, "AP so far" it and all kinds above it.'
    )
    rows = [
        [
            row['error'].replace('_', ' '), MEANINGS[row['error']],
            row['count'], row['ap_without'],
            f'{row["ap_without"] - analysis.ap:+.3f}', row['ap_cumulative'],
        ]
        for row in analysis.per_error
    ]  # fmt: skip
    header = ['kind', 'meaning', 'count', 'AP without', 'gain', 'AP so far']
    report.table(header, rows)


def _add_keypoints(analysis: 'Analysis', report: Report) -> None:
    report.heading('Errors by keypoint')
    report.text(
        'error: mean distance in longer sides of the box; not found: the '
        'instance has no prediction at OKS 0.1.'
    )
    _add_rows(report, analysis.per_keypoint)
    figure = new_figure(8, 0.5 + 0.22 * len(analysis.per_keypoint))
    _plot_kinds(figure, analysis.per_keypoint, 'keypoint')
    report.plot(figure, 'Share of the labelled keypoints')


def _add_groups(analysis: 'Analysis', report: Report) -> None:
    report.heading('Errors by instance')
    for key, rows in analysis.per_group.items():
        report.text(GROUPS[key])
        _add_rows(report, rows)


def _add_curves(analysis: 'Analysis', report: Report) -> None:
    report.heading('Curves')
    for key, x, y, label, caption in (
        ('pck', 'distance', 'pck', 'distance / longer side', 'PCK'),
        ('oks', 'oks', 'share', 'OKS', 'Instances that reach an OKS'),
        ('ap', 'oks', 'ap', 'threshold of OKS', 'Average precision'),
    ):
        figure = new_figure(4, 3)
        axes = figure.subplots()
        rows = analysis.curves[key]
        axes.plot([row[x] for row in rows], [row[y] for row in rows])
        axes.set(xlabel=label, ylim=(0, 1.02))
        axes.grid(alpha=0.3)
        report.plot(figure, caption)


def _add_calibration(analysis: 'Analysis', report: Report) -> None:
    report.heading('Calibration of scores')
    for key, words in (
        ('keypoint_scores', f'Keypoint scores and PCK@{PCK_THRESHOLD}'),
        ('instance_scores', 'Instance scores and OKS'),
    ):
        found = analysis.calibration[key]
        figure = new_figure(4, 3)
        axes = figure.subplots()
        bins = [row for row in found['bins'] if row['count']]
        axes.plot([0, 1], [0, 1], color='#bbbbbb', linewidth=1)
        axes.plot(
            [row['score'] for row in bins],
            [row['outcome'] for row in bins],
            marker='o',
        )
        axes.set(xlabel='mean score', xlim=(0, 1), ylim=(0, 1.02))
        axes.grid(alpha=0.3)
        caption = (
            f'{words}: expected calibration error {found["error"]:.3f}, '
            f'rank correlation {found["correlation"]:.3f}'
        )
        if found['outside']:
            caption += f'; {found["outside"]} scores are outside of [0, 1]'
        report.plot(figure, caption)


def _add_pictures(analysis: 'Analysis', report: Report, number: int) -> None:
    cases = analysis.worst(number)
    if not cases:
        return
    report.heading('The worst instances')
    report.text(
        'Green: annotation; red: prediction; yellow joins their labelled '
        'keypoints.'
    )
    for case in cases:
        picture = _draw(analysis, case)
        score = 'not found'
        if case.prediction is not None:
            score = f'score {case.prediction["score"]:.2f}'
        report.picture(
            picture, f'{case.image.name}, OKS {case.oks:.3f}, {score}', 320
        )


def _draw(analysis: 'Analysis', case: 'Case') -> np.ndarray:
    image = analysis.find_image(case.gt)
    width, height = image.get('width', 1), image.get('height', 1)
    return draw_errors(
        read_picture(case.image, width, height),
        case.gt['bbox'],
        _get_keypoints(analysis, case.gt),
        None
        if case.prediction is None
        else _get_keypoints(analysis, case.prediction),
        analysis.metainfo.get('skeleton_links') or (),
    )


def _get_keypoints(analysis: 'Analysis', entry: dict) -> np.ndarray:
    """Return x, y and visibility or score, (K, 3)."""
    keys = KEYPOINT_KINDS[analysis.iou_type][0]
    values = [value for key in keys for value in entry[key]]
    return np.array(values, float).reshape(-1, 3)


def _add_rows(report: Report, rows: list[dict]) -> None:
    if rows:
        header = [name.replace('_', ' ') for name in rows[0]]
        report.table(header, [list(row.values()) for row in rows])


def _plot_kinds(figure: Any, rows: list[dict], name: str) -> None:
    """Plot the shares of the kinds of errors as bars."""
    axes = figure.subplots()
    left = np.zeros(len(rows))
    totals = np.array([max(1, row['labelled']) for row in rows])
    for kind, color in COLORS.items():
        widths = np.array([row[kind] for row in rows]) / totals
        axes.barh(
            range(len(rows)), widths, left=left, color=color,
            label=kind.replace('_', ' '),
        )  # fmt: skip
        left = left + widths
    axes.set_yticks(range(len(rows)), [row[name] for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    figure.legend(loc='outside right upper')
