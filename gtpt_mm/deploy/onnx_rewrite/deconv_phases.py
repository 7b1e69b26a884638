"""A transposed convolution as four small convolutions."""

# (a, b) phase: row and column of an output pixel within its 2 x 2 cell

from typing import TYPE_CHECKING

from .builder import GraphBuilder

if TYPE_CHECKING:
    from .deconvolutions import Deconvolution

PHASES = [(0, 0), (0, 1), (1, 0), (1, 1)]


def find_taps(kernel: int, padding: int) -> tuple[dict[int, int], ...]:
    """Return the kernel indices that make each phase of an output row.

    With stride 2, output row 2 i + a is the sum over k of input row i + d
    times kernel row k, for all k with k = a + padding - 2 d.

    Args:
        kernel: Side of the kernel.
        padding: Rows cut from each side.

    Returns:
        For a = 0 and 1 the kernel indices k by their offset d, in rising
        order of d.

    Example:
        >>> find_taps(kernel=4, padding=1)
        ({-1: 3, 0: 1}, {0: 2, 1: 0})
    """
    phases = []
    for a in (0, 1):
        taps = {
            (a + padding - k) // 2: k
            for k in reversed(range(kernel))
            if (a + padding - k) % 2 == 0
        }
        phases.append(taps)
    return tuple(phases)


def convolve_phases(
    build: GraphBuilder, deconv: 'Deconvolution', source: str
) -> None:
    """Append the convolutions, and what joins their outputs.

    Pointwise layers come before the join: it moves fewer channels.

    Args:
        build: Gets the nodes.
        deconv: What they replace; they end in its output.
        source: The map, (B, C, h, w).
    """
    taps = find_taps(deconv.weight.shape[2], deconv.padding)
    bias = build.constant(deconv.bias)
    final = []
    if deconv.final is not None:
        weight, final_bias = deconv.final
        final = [
            build.constant(weight.T[:, :, None, None]),
            build.constant(final_bias),
        ]
    maps = []
    for a, b in PHASES:
        rows, columns = taps[a], taps[b]
        weight = deconv.weight[:, :, list(rows.values())]
        weight = weight[:, :, :, list(columns.values())].transpose(1, 0, 2, 3)
        before = [max(-min(axis), 0) for axis in (rows, columns)]
        after = [max(max(axis), 0) for axis in (rows, columns)]
        x = build(
            'Conv', source, build.constant(weight), bias,
            kernel_shape=weight.shape[2:], pads=[*before, *after],
        )  # fmt: skip
        if deconv.with_relu:
            x = build('Relu', x)
        if final:
            x = build('Conv', x, *final, kernel_shape=[1, 1])
        maps.append(x)
    joined = build('Concat', *maps, axis=1)
    build('DepthToSpace', joined, output=deconv.output, blocksize=2)
