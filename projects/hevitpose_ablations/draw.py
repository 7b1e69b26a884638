"""Draw the figure of the model page.

python projects/hevitpose_ablations/draw.py docs/assets/hevitpose.png
"""

import argparse

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

BLUE, GREEN, ORANGE, GREY = '#cfe2f3', '#d9ead3', '#fce5cd', '#eeeeee'


def box(
    axes: Axes,
    center: tuple[float, float],
    size: tuple[float, float],
    text: str,
    color: str = GREY,
    fontsize: float = 8.5,
) -> None:
    """Draw a rounded box around a text."""
    (x, y), (width, height) = center, size
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle='round,pad=0,rounding_size=0.08',
            facecolor=color,
            edgecolor='#555555',
            linewidth=0.8,
        )
    )
    axes.text(x, y, text, ha='center', va='center', fontsize=fontsize)


def arrow(axes: Axes, start, end, bend: float = 0.0, color='#555555') -> None:
    """Draw an arrow, bent or straight."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle='-|>',
            mutation_scale=9,
            linewidth=0.9,
            color=color,
            shrinkA=0,
            shrinkB=0,
            connectionstyle=f'arc3,rad={bend}',
        )
    )


def column(axes: Axes, x: float, width: float, rows: list[tuple]) -> None:
    """Draw boxes from top to bottom, an arrow between neighbours.

    Args:
        axes: Where to draw.
        x: Centre of the column.
        width: Width of a box.
        rows: Height of the centre, text and color of each box.
    """
    for i, (y, text, color) in enumerate(rows):
        height = 0.38 + 0.2 * text.count('\n')
        box(axes, (x, y), (width, height), text, color)
        if i:
            above = rows[i - 1]
            start = above[0] - 0.19 - 0.1 * above[1].count('\n')
            arrow(axes, (x, start), (x, y + height / 2))


def draw_network(axes: Axes) -> None:
    """Draw the stages, with the sizes of HEViTPose-B at 256x256."""
    axes.set_title('HEViTPose-B, 256 x 256', fontsize=10, weight='bold')
    column(
        axes,
        2,
        3.7,
        [
            (7.6, 'image  3 x 256 x 256', GREY),
            (
                6.8,
                'patch embedding: conv 7x7, stride 4\nneighbours share 3 px',
                GREEN,
            ),
            (5.85, 'stage 1: 1 block  128 x 64 x 64', BLUE),
            (5.15, 'subsample', GREEN),
            (4.45, 'stage 2: 2 blocks  256 x 32 x 32', BLUE),
            (3.75, 'subsample', GREEN),
            (3.05, 'stage 3: 3 blocks  384 x 16 x 16', BLUE),
            (2.2, 'head: 2 deconvolutions 4x4\n192, 96 filters', ORANGE),
            (1.35, 'heatmaps  K x 64 x 64', GREY),
        ],
    )


def draw_block(axes: Axes) -> None:
    """Draw the units of a block and of a subsampling."""
    axes.set_title('block', fontsize=10, weight='bold')
    rows = [
        (7.2, '+ depthwise 3x3', GREEN),
        (6.5, '+ FFN, twice as wide', GREEN),
        (5.8, '+ CGSR-MHA', BLUE),
        (5.1, '+ depthwise 3x3', GREEN),
        (4.4, '+ FFN, twice as wide', GREEN),
    ]
    column(axes, 1.5, 2.7, rows)
    axes.text(1.5, 3.85, '+: added to its input', ha='center', fontsize=7.5)
    axes.text(1.5, 3.35, 'subsample', ha='center', fontsize=10, weight='bold')
    column(
        axes,
        1.5,
        2.7,
        [
            (2.85, '+ depthwise, + FFN', GREEN),
            (1.9, 'expand x 4\ndepthwise 3x3, stride 2\ngate, reduce', GREEN),
            (0.95, '+ depthwise, + FFN', GREEN),
        ],
    )


def draw_attention(axes: Axes) -> None:
    """Draw three groups of the cascade."""
    axes.set_title(
        'CGSR-MHA: one group after the other', fontsize=10, weight='bold'
    )
    box(axes, (3.5, 7.6), (6.4, 0.38), 'input: C channels, cut into G groups')
    for g, name in enumerate(('1', '2', 'G')):
        x = 1.1 + 2.4 * g
        arrow(axes, (x, 7.41), (x, 7.0))
        label = f'$X_{name}$' if g == 0 else f'$X_{name}$ + $Y$ of before'
        box(axes, (x, 6.8), (1.9, 0.38), label)
        arrow(axes, (x - 0.5, 6.61), (x - 0.5, 5.25))
        arrow(axes, (x + 0.5, 6.61), (x + 0.5, 6.2))
        box(
            axes,
            (x + 0.5, 5.95),
            (0.95, 0.5),
            'SR: /r\nLN',
            GREEN,
            7.5,
        )
        arrow(axes, (x + 0.5, 5.7), (x + 0.5, 5.25))
        axes.text(x - 0.56, 5.9, 'LN', fontsize=7.5, ha='right')
        axes.text(x - 0.56, 5.45, 'q', fontsize=7.5, ha='right')
        axes.text(x + 0.56, 5.4, 'k, v', fontsize=7.5)
        box(axes, (x, 5.0), (1.9, 0.5), 'MHA, h heads', BLUE)
        arrow(axes, (x, 4.75), (x, 4.4))
        box(axes, (x, 4.2), (1.9, 0.38), f'LN = $Y_{name}$', GREEN)
        arrow(axes, (x, 4.01), (x, 3.2))
        if g == 0:
            arrow(axes, (x + 0.95, 4.2), (x + 1.45, 6.8), 0, '#cc4125')
        if g == 1:
            axes.text(x + 1.2, 5.0, '...', ha='center', fontsize=12)
            arrow(axes, (x + 0.95, 4.2), (x + 1.45, 6.8), 0, '#cc4125')
    box(axes, (3.5, 3.0), (6.4, 0.38), 'joined: C channels')
    arrow(axes, (3.5, 2.81), (3.5, 2.5))
    box(axes, (3.5, 2.3), (6.4, 0.38), 'conv 1x1, C to C', GREEN)
    axes.text(
        3.5,
        1.35,
        'SR: one conv of kernel 2r-1, stride r, and MHA: one module,\n'
        'each with the same weights for all groups. Norms: one per group.\n'
        'B: G = 4, 4, 4;  r = 8, 4, 2;  h = 2, 4, 8;  64 keys everywhere.',
        ha='center',
        va='center',
        fontsize=8,
    )


def main() -> None:
    """Write the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', help='picture to write')
    args = parser.parse_args()
    figure = Figure(figsize=(12, 6.4), layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3, width_ratios=(4, 3, 7))
    for axes, width, draw in zip(
        panels,
        (4, 3, 7),
        (draw_network, draw_block, draw_attention),
        strict=True,
    ):
        axes.set(xlim=(0, width), ylim=(0.5, 8))
        axes.axis('off')
        draw(axes)
    figure.savefig(args.out, dpi=100)


if __name__ == '__main__':
    main()
