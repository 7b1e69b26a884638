"""A self-contained HTML file with text, tables, plots and pictures."""

import base64
import html
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gtpt_mm.compat.files.atomic_file import atomic_write

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 70rem; padding: 0 1rem; color: #1b1f24; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #d5d9de; padding: .25rem .75rem;
  text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { display: inline-block; margin: .5rem; vertical-align: top; }
figure img, figure svg { max-width: 100%; height: auto; }
figcaption { font-size: .85rem; max-width: 24rem; }
pre { background: #f3f4f6; overflow-x: auto; padding: .75rem; }
.bad { color: #b42318; } .good { color: #067647; }
"""


class Report:
    """A page that is written from top to bottom.

    Args:
        title: Its first heading.
    """

    def __init__(self, title: str) -> None:
        self._title = html.escape(title)
        self._parts = [f'<h1>{self._title}</h1>']

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f'<h2>{html.escape(text)}</h2>')

    def text(self, text: str, kind: str = '') -> None:
        """Add a paragraph; kind 'good' is green, 'bad' is red."""
        self._parts.append(f'<p class="{kind}">{html.escape(text)}</p>')

    def code(self, text: str) -> None:
        """Add lines of a terminal or a file."""
        self._parts.append(f'<pre>{html.escape(text)}</pre>')

    def table(
        self, header: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """Add a table; numbers are right-aligned, floats get 3 decimals."""
        head = ''.join(f'<th>{html.escape(str(h))}</th>' for h in header)
        body = ''.join(
            f'<tr>{"".join(_cell(value) for value in row)}</tr>'
            for row in rows
        )
        self._parts.append(f'<table><tr>{head}</tr>{body}</table>')

    def plot(self, figure: Figure, caption: str = '') -> None:
        """Add a figure of matplotlib as SVG; make it by :func:`new_figure`."""
        stream = io.StringIO()
        # Text stays text: browsers have fonts for any language.
        with (
            matplotlib.rc_context({'svg.fonttype': 'none'}),
            warnings.catch_warnings(),
        ):
            warnings.filterwarnings('ignore', 'Glyph .* missing from font')
            figure.savefig(stream, format='svg')
        svg = stream.getvalue()
        self._figure(svg[svg.index('<svg') :], caption)

    def picture(
        self, image: np.ndarray, caption: str = '', width: int = 360
    ) -> None:
        """Add a picture, BGR uint8 (H, W, 3), shrunk to ``width`` pixels."""
        scale = min(1.0, width / image.shape[1])
        if scale < 1:
            image = cv2.resize(
                image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
            )
        _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 85])
        source = base64.b64encode(data.tobytes()).decode()
        alt = html.escape(caption, quote=True)
        self._figure(
            f'<img alt="{alt}" src="data:image/jpeg;base64,{source}">', caption
        )

    def _figure(self, content: str, caption: str) -> None:
        text = f'<figcaption>{html.escape(caption)}</figcaption>'
        self._parts.append(
            f'<figure>{content}{text if caption else ""}</figure>'
        )

    def write(self, path: str | Path) -> None:
        """Write the page."""
        content = '\n'.join(self._parts)
        with atomic_write(path) as temporary:
            Path(temporary).write_text(
                '<!doctype html><html lang="en"><head><meta charset="utf-8">'
                f'<title>{self._title}</title><style>{_STYLE}</style></head>'
                f'<body>{content}</body></html>',
                encoding='utf-8',
            )


def new_figure(width: float = 6, height: float = 3.5) -> Figure:
    """Return an empty figure that needs no screen; the size is in inches."""
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return f'<td class="number">{value:.3f}</td>'
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f'<td class="number">{value:,}</td>'
    return f'<td>{html.escape(str(value))}</td>'
