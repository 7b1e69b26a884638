"""The page of a check of data: findings, statistics, pictures worst first."""

from pathlib import Path

import cv2
import numpy as np

from gtpt_mm.compat.messages import list_some
from gtpt_mm.datasets import checks
from gtpt_mm.datasets.checks import KINDS, SEVERITIES, Finding
from gtpt_mm.visualization.annotated_instance import draw_instance
from gtpt_mm.visualization.html_report import Report, new_figure

from .data_check import DataCheck, group

#: Number of drawn instances, and of panels of the heatmap.
NUM_DRAWN, NUM_PANELS = 20, 36
#: Weight of a finding in the order of the drawn instances.
WEIGHTS = dict(zip(SEVERITIES, (100.0, 10.0, 0.1), strict=True))
BINS = 24


def write_report(check: DataCheck, path: Path) -> None:
    """Write one HTML file."""
    report = Report('Check of annotations')
    report.code(', '.join(str(file) for file in check.files.values()))
    _add_findings(report, check)
    if len(check.stack):
        _add_statistics(report, check)
        _add_pictures(report, check)
    report.write(path)


def _add_findings(report: Report, check: DataCheck) -> None:
    """Add a table of kinds, and one of all errors and warnings."""
    num = ', '.join(f'{n:,} {s}s' for s, n in check.num.items())
    report.heading('Findings')
    report.text(num, 'bad' if check.num['error'] else 'good')
    kinds = group(check.findings)
    rows = [
        (
            KINDS[kind].severity,
            len(found),
            KINDS[kind].title,
            list_some([f.place for f in found if f.place]),
            KINDS[kind].remedy,
        )
        for kind, found in kinds.items()
    ]
    if rows:
        header = ('severity', 'number', 'finding', 'where', 'remedy')
        report.table(header, rows)
    each = [
        (f.severity, KINDS[f.kind].title, f.value, f.place)
        for f in check.findings
        if f.severity != 'note'
    ]
    if each:
        report.heading('Errors and warnings, one by one')
        report.table(('severity', 'finding', 'value', 'place'), each)


def _add_statistics(report: Report, check: DataCheck) -> None:
    """Add visibility of keypoints, sizes and positions."""
    stack = check.stack
    report.heading('Keypoints')
    counts = [(stack.visible == value).sum(0) for value in range(3)]
    header = ('keypoint', 'not labelled (0)', 'hidden (1)', 'seen (2)')
    rows = [
        (name, *(int(count[k]) for count in counts))
        for k, name in enumerate(stack.names)
    ]
    report.table(header, rows)
    report.heading('Sizes')
    figure = new_figure()
    axes = figure.subplots()
    sides = stack.sides[np.isfinite(stack.boxes).all(1)]
    if len(sides):
        edges = np.geomspace(sides.min() * 0.99, sides.max() * 1.01, 31)
        axes.hist(sides, bins=edges.tolist())
    axes.set_xscale('log')
    axes.set_xlabel('longer side of the box in pixels')
    axes.set_ylabel('instances')
    report.plot(figure)
    _add_positions(report, check)


def _add_positions(report: Report, check: DataCheck) -> None:
    """Add where keypoints lie in their box, and boxes in the picture."""
    stack = check.stack
    report.heading('Positions')
    extent = stack.boxes[:, 2:] - stack.boxes[:, :2]
    extent = np.where(extent > 0, extent, np.nan)
    places = (stack.points - stack.boxes[:, None, :2]) / extent[:, None]
    centers = (stack.boxes[:, :2] + stack.boxes[:, 2:]) / 2 / stack.sizes
    panels = [('boxes in the picture', centers)]
    for k, name in enumerate(stack.names[: NUM_PANELS - 1]):
        panels.append((name, places[stack.labelled[:, k], k]))
    columns = 6
    rows = -(-len(panels) // columns)
    figure = new_figure(9, 1.6 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis('off')
    for axis, (title, points) in zip(axes, panels, strict=False):
        points = points[np.isfinite(points).all(1)]
        limits = ((-0.1, 1.1), (-0.1, 1.1))
        density = np.histogram2d(
            points[:, 1], points[:, 0], bins=BINS, range=limits
        )[0]
        axis.imshow(density, cmap='magma', extent=(-0.1, 1.1, 1.1, -0.1))
        axis.set_title(title, fontsize=7)
    report.plot(figure, 'keypoints in their box, 0.1 of it around')


def _add_pictures(report: Report, check: DataCheck) -> None:
    """Add the drawn instances with the worst findings, then unusual ones."""
    stack = check.stack
    report.heading(f'{min(NUM_DRAWN, len(stack))} instances, worst first')
    report.text(
        'Left is red, right is blue; named are the doubtful keypoints.'
    )
    here = _findings_of_rows(check)
    unusual = checks.measure_bones(stack, stack.labelled)
    unusual = np.nan_to_num(unusual).max(1, initial=0.0)
    score = unusual / (1 + unusual)  # below any finding but a note
    for row, found in here.items():
        score[row] += sum(WEIGHTS[f.severity] for f in found)
    drawn = 0
    for row in np.argsort(-score, kind='stable').tolist():
        picture, instance = stack.owners[row]
        image = _read(picture.path, picture.content)
        if image is None:
            continue
        found = here.get(row, [])
        marked = sorted({k for f in found for k in f.keypoints})
        text = '; '.join(f'{KINDS[f.kind].title}: {f.value}' for f in found)
        image = draw_instance(
            image, stack.points[row], stack.labelled[row], stack.boxes[row],
            names=stack.names, links=stack.links, pairs=stack.pairs,
            marked=marked,
        )  # fmt: skip
        title = f'{picture.name}, annotation {instance.id}'
        report.picture(image, f'{title}. {text}' if text else title)
        drawn += 1
        if drawn == NUM_DRAWN:
            break


def _findings_of_rows(check: DataCheck) -> dict[int, list[Finding]]:
    """Return the findings of each instance, those of its picture included."""
    names = {split: file.name for split, file in check.files.items()}
    by_place: dict[tuple, list[Finding]] = {}
    for finding in check.findings:
        if finding.picture:
            place = (finding.file, finding.picture, finding.annotation)
            by_place.setdefault(place, []).append(finding)
    rows = {}
    for row, (picture, instance) in enumerate(check.stack.owners):
        file = names.get(picture.split, picture.split)
        found = by_place.get((file, picture.name, instance.id), [])
        found = found + by_place.get((file, picture.name, None), [])
        if found:
            rows[row] = found
    return rows


def _read(path: Path | None, content: bytes | None) -> np.ndarray | None:
    """Return a picture as BGR; None if it cannot be read."""
    if content is None:
        if path is None or not path.is_file():
            return None
        content = path.read_bytes()
    data = np.frombuffer(content, np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
