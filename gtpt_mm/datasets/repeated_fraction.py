"""A random share of a dataset, repeated to the length of the whole."""

import numpy as np
from mmengine.dataset import BaseDataset, RepeatDataset, force_full_init
from mmpose.registry import DATASETS


@DATASETS.register_module()
class RepeatedFraction(RepeatDataset):
    """A random share of a dataset, repeated to its full length.

    An epoch has as many iterations as with the whole dataset, so a schedule
    needs no change, and runs with different shares take equally many steps.

    Source: Xu et al., "ViTPose++", Sec. 4.7: data efficiency is measured with
    10 to 100 percent of the samples and the same number of iterations.

    Args:
        dataset: The whole dataset, or its config.
        fraction: Share of the samples, in (0, 1]; at least one is kept.
        seed: Seed of the choice. A larger share with the same seed contains
            the smaller one.
        lazy_init: Whether annotations are read later.

    Raises:
        ValueError: If ``fraction`` is not in (0, 1].
    """

    def __init__(
        self,
        dataset: BaseDataset | dict,
        fraction: float,
        seed: int = 0,
        lazy_init: bool = False,
    ) -> None:
        if not 0 < fraction <= 1:
            raise ValueError(f'fraction must lie in (0, 1], got {fraction}')
        self.fraction = fraction
        self.seed = seed
        super().__init__(dataset, times=1, lazy_init=lazy_init)

    def full_init(self) -> None:
        """Read the annotations and choose samples."""
        if self._fully_initialized:
            return
        super().full_init()
        order = np.random.default_rng(self.seed).permutation(self._ori_len)
        num_kept = max(round(self.fraction * self._ori_len), 1)
        self._kept = order[:num_kept]

    @force_full_init
    def _get_ori_dataset_idx(self, idx: int) -> int:
        """Return the index in the whole dataset."""
        return int(self._kept[idx % len(self._kept)])
