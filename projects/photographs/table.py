"""Write the tables of docs/photographs.md from the runs that have finished.

    PYTHONPATH=. python projects/photographs/table.py
    PYTHONPATH=. python projects/photographs/table.py --take DIR

The figures are those in ``results/``; ``--take`` copies those of new runs
there first. Parameters, GMACs and milliseconds come from ``speed.json``, which
``speed.py`` measures, and the reference rows from ``references.json``, which
``references.py`` measures. A table is written between its markers in the
page; all else there is hand-written and stays.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from projects.photographs import claims
from projects.photographs.claims import CLAIMS, Claim
from projects.photographs.results import KEPT, read_result, take_results
from projects.photographs.runs import (
    CLAIM_RUNS,
    EPOCHS,
    ROOT,
    ROW_SEEDS,
    ROWS,
    TUNED,
    Run,
    trials,
)

PAGE = ROOT / 'docs/photographs.md'
#: Head of a column, key of a metric, decimals.
METRICS = (
    ('PCK@0.05', 'at_0.05/PCK', 3),
    ('PCK@0.1', 'at_0.1/PCK', 3),
    ('limbs, PCK@0.1', 'limbs_at_0.1/PCK', 3),
    ('AP', 'coco/AP', 3),
)
LABELS = {
    'gtpt-t': 'GTPT-T',
    'gtpt-s': 'GTPT-S',
    'hevitpose-t': 'HEViTPose-T',
    'vitpose-s': 'ViTPose-S',
    'vitpose-tiny': 'ViTPose, half of S',
    'rtmpose-t': 'RTMPose-t, stock mmpose',
    'simcc-res18': 'SimCC, ResNet-18, stock mmpose',
    'mobilenetv2': 'heatmaps, MobileNetV2, stock mmpose',
}
NOT_RUN = 'not run yet'
FIGURE = 'photographs_curves.png'


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def read_speed(out: Path) -> dict[str, tuple[str, str, str]]:
    """Return parameters, GMACs and milliseconds of each model, as texts."""
    path = out / 'speed.json'
    if not path.exists():
        return {}
    content = json.loads(path.read_text())
    times = {
        row['model']: row['median_ms']
        for row in content['rows']
        if row['runtime'] == 'onnxruntime' and row.get('error') is None
    }
    return {
        model['model']: (
            f'{model["parameters"] / 1e6:.2f}',
            f'{model["macs_operators"] / 1e9:.3f}',
            f'{times[model["model"]]:.1f}' if model['model'] in times else '',
        )
        for model in content['models']
    }


def _base_name(run: Run) -> str:
    """Return the name of a run without its seed."""
    return run.name.split('_seed')[0]


def write_rows(out: Path) -> str:
    """Return the table of the rows, finished or not."""
    speed = read_speed(out)
    table = []
    extra = [run for run in ROW_SEEDS if read_result(out / run.name)]
    for run in [*ROWS, *extra]:
        name = _base_name(run)
        costs = speed.get(name, ('', '', ''))
        label = f'{LABELS[name]}'
        result = read_result(out / run.name)
        if result is None:
            figures = [NOT_RUN, *[''] * (len(METRICS) - 1)]
            table.append([label, str(run.seed), *figures, *costs, '', ''])
            continue
        metrics = result['metrics']
        table.append(
            [
                label,
                str(run.seed),
                *(f'{metrics[key]:.{n}f}' for _, key, n in METRICS),
                *costs,
                f'{result["seconds_per_epoch"]:.0f}',
                f'{result["lr"]:g}',
            ]
        )
    heads = [head for head, _, _ in METRICS]
    head = ['model', 'seed', *heads, 'M', 'GMACs', 'ms', 's/epoch', 'rate']
    return markdown(head, table)


def find_closest(out: Path) -> tuple[str, str] | None:
    """Return the two rows with the closest PCK@0.1; None if one is missing."""
    results = [read_result(out / run.name) for run in ROWS]
    if not all(results):
        return None
    order = sorted(
        (result['metrics']['at_0.1/PCK'], result['name'])
        for result in results
        if result
    )
    gaps = [(high[0] - low[0], low[1], high[1])
            for low, high in pairwise(order)]  # fmt: skip
    return min(gaps)[1:]


def write_references(out: Path) -> str:
    """Return the table of the public networks."""
    path = out / 'references.json'
    rows = json.loads(path.read_text()) if path.exists() else []
    return markdown(
        ['network', 'input', 'limbs, PCK@0.05', 'limbs, PCK@0.1', 'ms'],
        [
            [
                row['name'],
                row['input'],
                f'{row["PCK@0.05"]:.3f}',
                f'{row["PCK@0.1"]:.3f}',
                f'{row["ms"]:.1f}',
            ]
            for row in rows
        ],
    )


def write_claims(out: Path) -> str:
    """Return the table of the claims, decided or not."""
    return markdown(
        ['paper', 'claim', 'first', 'second', 'spread of seeds', 'result'],
        [_claim_row(claim, out) for claim in CLAIMS],
    )


def _claim_row(claim: Claim, out: Path) -> list[str]:
    better, other, spread = (
        read_figures(names, claim.metric, out)
        for names in (claim.better, claim.other, claim.spread)
    )
    between = claims.measure_spread(better, other, spread)
    verdict = claims.judge(better, other, between, claim.is_equal)
    return [
        claim.paper,
        claim.text,
        ', '.join(f'{figure:.3f}' for figure in better),
        ', '.join(f'{figure:.3f}' for figure in other),
        '' if between is None else f'{between:.3f}',
        verdict,
    ]


def read_figures(names: Sequence[str], metric: str, out: Path) -> list[float]:
    """Return a metric of the runs that have finished."""
    results = [read_result(out / name) for name in names]
    return [result['metrics'][metric] for result in results if result]


def write_runs(out: Path) -> str:
    """Return the list of all runs, their estimates and states."""
    trained = {
        run.name: read_result(out / run.name) for run in [*ROWS, *CLAIM_RUNS]
    }
    rows = [
        [
            f'`{run.name}`',
            run.config,
            str(run.seed),
            f'{run.minutes:g}',
            _describe(trained[run.name]),
        ]
        for run in [*ROWS, *CLAIM_RUNS]
    ]
    return markdown(['run', 'config', 'seed', 'minutes', 'state'], rows)


def _describe(result: dict | None) -> str:
    if result is None:
        return NOT_RUN
    return f'{result["date"]}, commit {result["commit"]}'


def write_rates(out: Path) -> str:
    """Return the losses of the tuning, the lowest of a family in bold."""
    rows, rates = [], []
    for family in TUNED:
        results = [read_result(out / t.name) for t in trials(family)]
        losses = [result['loss'] if result else None for result in results]
        known = [loss for loss in losses if loss is not None]
        rates = [
            trial.options['optim_wrapper.optimizer.lr']
            for trial in trials(family)
        ]
        rows.append([TUNED[family], *(_loss(loss, known) for loss in losses)])
    return markdown(['tuned', *(f'{rate:g}' for rate in rates)], rows)


def _loss(loss: float | None, known: Sequence[float]) -> str:
    if loss is None:
        return NOT_RUN
    text = f'{loss:.3g}'
    return f'**{text}**' if loss == min(known) else text


def write_curves(out: Path) -> str:
    """Return the link to the figure, or a sentence that there is none."""
    if any(read_result(out / run.name) for run in ROWS):
        return f'![PCK over the epochs](assets/{FIGURE})'
    return 'No row has been trained to its end yet: no curves.'


TABLES: dict[str, Callable[[Path], str]] = {
    'rows': write_rows,
    'curves': write_curves,
    'references': write_references,
    'rates': write_rates,
    'claims': write_claims,
    'runs': write_runs,
}


def write_page(page: Path, out: Path) -> None:
    """Write all tables between their markers.

    Raises:
        ValueError: If the page lacks the markers of a table.
    """
    text = page.read_text(encoding='utf-8')
    for name, write in TABLES.items():
        start, end = f'<!-- table: {name} -->', f'<!-- end: {name} -->'
        if text.count(start) != 1 or text.count(end) != 1:
            raise ValueError(f'{page} must have {start} and {end} once')
        before, _, rest = text.partition(start)
        after = rest.partition(end)[2]
        text = f'{before}{start}\n\n{write(out)}\n\n{end}{after}'
    page.write_text(text, encoding='utf-8')


def draw_curves(out: Path, file: Path) -> None:
    """Draw PCK@0.1 of the finished rows over their epochs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for run in ROWS:
        result = read_result(out / run.name)
        if result is not None and run.seed == 1:
            axes.plot(
                [row['step'] for row in result['curve']],
                [row['at_0.1/PCK'] for row in result['curve']],
                marker='.',
                label=LABELS[_base_name(run)],
            )
    axes.set(xlabel='epoch', ylabel='PCK@0.1, lspet_sub val')
    axes.set(xlim=(0, EPOCHS), ylim=(0, 1))
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize='small')
        figure.savefig(file, dpi=110)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page and its curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=KEPT, help='the figures')
    parser.add_argument('--take', type=Path, help='folder of new runs')
    parser.add_argument('--page', type=Path, default=PAGE)
    args = parser.parse_args(argv)
    if args.take:
        names = take_results(args.take, args.out)
        print(f'took {len(names)} results of {args.take}')
    write_page(args.page, args.out)
    assets = args.page.parent / 'assets'
    assets.mkdir(exist_ok=True)
    draw_curves(args.out, assets / FIGURE)
    print(f'wrote {args.page}')
    if closest := find_closest(args.out):
        print(f'closest rows, for seeds 2 and 3: {" and ".join(closest)}')


if __name__ == '__main__':
    main()
