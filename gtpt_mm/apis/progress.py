"""A progress bar over results: count, rate and remaining time."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar('Item')


def show_progress(
    items: Iterable[Item],
    total: int | None = None,
    unit: str = 'frame',
    enabled: bool | None = None,
) -> Iterator[Item]:
    """Pass items on while a bar on stderr counts them.

    Args:
        items: Results, frames, ...
        total: Expected number of items, such as ``VideoInfo.num_frames``; it
            may be off by a few. None: the bar shows only count and rate.
        unit: Word for one item.
        enabled: Whether to draw the bar; None: if stderr is a terminal.

    Yields:
        The items. The bar is closed however the iteration ends.
    """
    disable = None if enabled is None else not enabled
    with tqdm(total=total, unit=unit, disable=disable) as bar:
        for item in items:
            yield item
            bar.update()
