"""Table of what was read and what was left out."""

from .keypoint_set import KeypointSet, Picture
from .split import SPLITS


def summarize(keypoint_set: KeypointSet) -> str:
    """Return the counts of a set by split, what was left out, and notes."""
    pictures = keypoint_set.pictures
    splits = [s for s in SPLITS if any(p.split == s for p in pictures)]
    columns = {s: [p for p in pictures if p.split == s] for s in splits}
    columns['all'] = pictures
    rows = [['', *columns]]
    counted = {name: _count(part) for name, part in columns.items()}
    for key, total in counted['all'].items():
        if not total and key.startswith(' '):
            continue
        rows.append([key, *(f'{c[key]:,}' for c in counted.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f'{keypoint_set.format}: {keypoint_set.category} with '
        f'{len(keypoint_set.names)} keypoints: '
        f'{", ".join(keypoint_set.names)}'
    ]
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(others, widths[1:], strict=True)]
        lines.append('  '.join(cells).rstrip())
    lines += [f'left out: {line}' for line in list_dropped(keypoint_set)]
    lines += [f'note: {note}' for note in keypoint_set.notes]
    return '\n'.join(lines)


def list_dropped(keypoint_set: KeypointSet) -> list[str]:
    """Return what was left out, a line for each reason."""
    return [f'{n:,} {what}' for what, n in keypoint_set.dropped.items() if n]


def _count(pictures: list[Picture]) -> dict[str, int]:
    """Return the numbers of one split."""
    instances = [i for p in pictures for i in p.instances]
    flags = [int(v) for i in instances for v in i.visible]
    return {
        'pictures': len(pictures),
        '  without instances': sum(not p.instances for p in pictures),
        'instances': len(instances),
        '  without a labelled keypoint': sum(
            not (i.visible > 0).any() for i in instances
        ),
        '  without a box in the source': sum(
            i.bbox is None for i in instances
        ),
        '  crowds': sum(i.is_crowd for i in instances),
        'keypoints labelled': sum(v > 0 for v in flags),
        '  of these hidden': flags.count(1),
    }
