"""Training curves from the scalars that mmengine logs."""

import json
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def read_scalars(work_dir: str | Path) -> list[dict]:
    """Return the log of a work directory, with resumed runs joined.

    A run that was killed and resumed logs the iterations after its last
    checkpoint twice; the later values win.

    Raises:
        FileNotFoundError: If nothing was logged there.
    """
    rows = {}
    for file in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # torn by a kill
            rows['loss' in row, row['step']] = row
    if not rows:
        raise FileNotFoundError(
            f'no */vis_data/scalars.json in {work_dir}: train there first'
        )
    return [rows[key] for key in sorted(rows)]


def plot_training(
    work_dir: str | Path, out_file: str | Path, metric: str = 'coco/AP'
) -> None:
    """Plot losses and the validation metric over epochs.

    Args:
        work_dir: Where mmengine trained.
        out_file: Picture to write.
        metric: Validation metric to plot.

    Raises:
        FileNotFoundError: If nothing was logged in ``work_dir``.
    """
    rows = read_scalars(work_dir)
    train = [row for row in rows if 'loss' in row]
    val = [(row['step'], row[metric]) for row in rows if metric in row]

    figure = Figure(figsize=(9, 3.5), layout='constrained')
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for key in sorted({k for row in train for k in row if 'loss' in k}):
        points = [(row['iter'], row[key]) for row in train if key in row]
        left.plot(*zip(*points, strict=True), label=key)
    left.set(xlabel='iteration', ylabel='loss', yscale='log')
    left.legend()
    if val:
        right.plot(*zip(*val, strict=True), marker='o')
    # Metrics may be shares or percentages.
    top = 100 if any(value > 1 for _, value in val) else 1
    right.set(xlabel='epoch', ylabel=metric, ylim=(0, top))
    right.grid(alpha=0.3)
    figure.savefig(out_file, dpi=110)
