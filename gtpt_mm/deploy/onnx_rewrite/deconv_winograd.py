"""A transposed convolution in Winograd's minimal number of products."""

# B batch, C channels, (h, w) map, T = B * h/2 * w/2 tiles of 2 x 2 pixels

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .builder import GraphBuilder
from .deconv_phases import PHASES

if TYPE_CHECKING:
    from .deconvolutions import Deconvolution


class Product(NamedTuple):
    """A factor from the map times a factor from the kernel, in one dimension.

    Attributes:
        differs: Whether the first factor is x[2 t + offset] minus the row
            after it, instead of this row alone.
        offset: Row of tile t in the map with one row of zeros around it.
        kernel: Factor of each kernel row in the second one.
    """

    differs: bool
    offset: int
    kernel: dict[int, int]


#: Three products for each phase. With x padded by one row, rows 2 t and
#: 2 t + 1 of phase 0 are x[2t] w3 + x[2t+1] w1 and x[2t+1] w3 + x[2t+2] w1,
#: which are first + middle and last + middle; so are those of phase 1 with
#: x[2t+1] w2 + x[2t+2] w0 and x[2t+2] w2 + x[2t+3] w0.
PRODUCTS = (
    (
        Product(True, 0, {3: 1}),
        Product(False, 1, {3: 1, 1: 1}),
        Product(True, 1, {1: -1}),
    ),
    (
        Product(True, 1, {2: 1}),
        Product(False, 2, {2: 1, 0: 1}),
        Product(True, 2, {0: -1}),
    ),
)
MIDDLE = 1


def multiply_tiles(
    build: GraphBuilder,
    deconv: 'Deconvolution',
    source: str,
    size: tuple[int, int],
) -> str | None:
    """Append the products of a 4 x 4 kernel of stride 2 and padding 1.

    Each phase of the output is a convolution with 2 x 2 taps. Two neighbours
    of one dimension need three products instead of four:

        d0 w0 + d1 w1 = (d0 - d1) w0 + d1 (w0 + w1)
        d1 w0 + d2 w1 = d1 (w0 + w1) - (d1 - d2) w1

    so 2 x 2 of them need 9 instead of 16. Sums of kernels are constants. The
    result is the same but for rounding.

    Source: Winograd, "Arithmetic Complexity of Computations", 1980: F(2, 2);
    Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR
    2016, nest it in two dimensions.

    Args:
        build: Gets the nodes.
        deconv: What they replace; they end in its output.
        source: The map, channels last, (B, h, w, C).
        size: Its height and width, both even.

    Returns:
        The output, channels last; None with ``deconv.final``, whose few
        channels come first at once.
    """
    factors = TileFactors(build, source, size, deconv.weight.shape[0])
    bias = build.constant(deconv.bias)
    outputs = {}
    for a, b in PHASES:
        outputs.update(_multiply_phase(build, deconv, factors, bias, a, b))
    grid = [(p, a) for p in (0, 1) for a in (0, 1)]  # rows 2 p + a of a tile
    pieces = [outputs[p, a, q, b] for p, a in grid for q, b in grid]
    if deconv.final is not None:
        weight, final_bias = map(build.constant, deconv.final)
        pieces = [build('Gemm', x, weight, final_bias) for x in pieces]
    joined = build('Concat', *pieces, axis=1)
    height, width = size
    tiles = build.integers(-1, height // 2, width // 2, 4, 4, _width(deconv))
    x = build('Reshape', joined, tiles)
    return _place_tiles(build, deconv, x, size)


def _width(deconv: 'Deconvolution') -> int:
    """Return the channels of the output."""
    return len(deconv.bias if deconv.final is None else deconv.final[1])


def _place_tiles(
    build: GraphBuilder, deconv: 'Deconvolution', x: str, size: tuple[int, int]
) -> str | None:
    """Turn (B, h/2, w/2, 4, 4, C) into a map, name it as the output."""
    height, width = 2 * size[0], 2 * size[1]
    channels = _width(deconv)
    if deconv.final is not None:  # few channels, and no deconvolution behind
        x = build('Transpose', x, perm=[0, 5, 1, 3, 2, 4])
        shape = build.integers(-1, channels, height, width)
        build('Reshape', x, shape, output=deconv.output)
        return None
    x = build('Transpose', x, perm=[0, 1, 3, 2, 4, 5])
    x = build('Reshape', x, build.integers(-1, height, width, channels))
    build('Transpose', x, perm=[0, 3, 1, 2], output=deconv.output)
    return x


def _multiply_phase(
    build: GraphBuilder,
    deconv: 'Deconvolution',
    factors: 'TileFactors',
    bias: str,
    a: int,
    b: int,
) -> dict[tuple[int, int, int, int], str]:
    """Return pixel (2 p + a, 2 q + b) of all tiles as (T, C), by (p, a, q, b).

    Four sums share the product in the middle, two each of its neighbours.
    """

    def multiply(i: int, j: int, *plus: str) -> str:
        row, column = PRODUCTS[a][i], PRODUCTS[b][j]
        total = sum(
            sign * other * deconv.weight[:, :, k, m]
            for k, sign in row.kernel.items()
            for m, other in column.kernel.items()
        )
        weight = build.constant(np.asarray(total, deconv.weight.dtype))
        return build('Gemm', factors.find(row, column), weight, *plus)

    middle = multiply(MIDDLE, MIDDLE, bias)
    columns = [multiply(MIDDLE, j, middle) for j in (0, 2)]
    outputs = {}
    for p, i in enumerate((0, 2)):
        row = multiply(i, MIDDLE)
        for q, j in enumerate((0, 2)):
            x = multiply(i, j, build('Add', columns[q], row))
            if deconv.with_relu:
                x = build('Relu', x)
            outputs[p, a, q, b] = x
    return outputs


class TileFactors:
    """The factors from the map: rows of tiles, and differences of rows.

    Args:
        build: Gets the nodes.
        source: The map, channels last, (B, h, w, C).
        size: Its height and width, both even.
        channels: Channels C.
    """

    def __init__(
        self,
        build: GraphBuilder,
        source: str,
        size: tuple[int, int],
        channels: int,
    ) -> None:
        self.build = build
        margin = build.integers(0, 1, 1, 0, 0, 1, 1, 0)
        self.padded = build('Pad', source, margin)
        self.size = size
        self.rows = build.integers(-1, channels)
        self.axes = build.integers(1, 2), build.integers(2, 2)
        self.found: dict[tuple[bool, int, bool, int], str] = {}

    def find(self, row: Product, column: Product) -> str:
        """Return the factor of all tiles, (T, C)."""
        return self._find(
            row.differs, row.offset, column.differs, column.offset
        )

    def _find(
        self, row_differs: bool, i: int, column_differs: bool, j: int
    ) -> str:
        key = row_differs, i, column_differs, j
        if key not in self.found:
            if row_differs:
                pair = [(False, k, column_differs, j) for k in (i, i + 1)]
                x = self.build('Sub', *(self._find(*one) for one in pair))
            elif column_differs:
                pair = [(False, i, False, k) for k in (j, j + 1)]
                x = self.build('Sub', *(self._find(*one) for one in pair))
            else:
                x = self._slice(i, j)
            self.found[key] = x
        return self.found[key]

    def _slice(self, i: int, j: int) -> str:
        """Return pixel (i, j) of all tiles, each with the margin around."""
        ends = i + self.size[0] - 1, j + self.size[1] - 1
        x = self.build(
            'Slice',
            self.padded,
            self.build.integers(i, j),
            self.build.integers(*ends),
            *self.axes,
        )
        return self.build('Reshape', x, self.rows)
