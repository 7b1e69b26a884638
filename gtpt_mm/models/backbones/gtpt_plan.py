"""Passes through GTPT: the tokens that each layer reads, keeps and leaves."""

# B batch, G keypoint groups, M image tokens of a group, T tokens, C channels

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from gtpt_mm.layers.tokens import Tokens

from .keypoint_groups import KeypointGroups, Stage


class Step(NamedTuple):
    """The part of one layer in a pass.

    Attributes:
        layer: Number of the layer, counted from 1 as in the paper.
        stage: The tokens that it reads.
        next_stage: The tokens that it leaves.
        num_keep: Tokens of each group that it keeps, including dense
            keypoints; 0 keeps all.
    """

    layer: int
    stage: Stage
    next_stage: Stage
    num_keep: int

    @property
    def introduces(self) -> bool:
        """Whether the human token becomes keypoint tokens in this layer."""
        return self.stage is Stage.HUMAN and self.next_stage is Stage.SPARSE

    @property
    def divides(self) -> bool:
        """Whether the tokens are divided into groups after this layer."""
        return self.stage is not Stage.DENSE and self.next_stage is Stage.DENSE


class KeptTokens(NamedTuple):
    """The image patches that survive one pruning step.

    Attributes:
        step: Where they were chosen; that layer still reads all.
        indices: Patch numbers in row-major order, (B, G, M); -1 marks the row
            of a dense keypoint. G is 1 before the transition.
    """

    step: Step
    indices: Tensor


#: Called in each layer with the step, the tokens that the layer reads, and
#: their projected queries and keys, (B, T, C).
Trace = Callable[[Step, Tokens, Tensor, Tensor], None]


def count_kept(
    keep_rates: Sequence[float], num_patches: int, groups: KeypointGroups
) -> list[int]:
    """Return the number of patches kept in each quarter of the layers.

    Raises:
        ValueError: If there are not four rates, one lies outside (0, 1], they
            rise, or leave no token beside the dense keypoints.
    """
    rates = list(keep_rates)
    if len(rates) != 4:
        raise ValueError(f'keep_rates needs 4 numbers, got {rates}')
    if not all(0 < rate <= 1 for rate in rates):
        raise ValueError(f'keep_rates must lie in (0, 1], got {rates}')
    if rates != sorted(rates, reverse=True):
        raise ValueError(
            f'keep_rates must not rise, got {rates}: a dropped token '
            'cannot come back'
        )
    # 90 * 0.7 is 62.99... in floats.
    num_keeps = [int(num_patches * rate + 1e-6) for rate in rates]
    if groups.count_rows(num_keeps[3]) <= groups.max_dense:
        raise ValueError(
            f'keep_rates {rates} keep {num_keeps[3]} of {num_patches} '
            'tokens in the last quarter, but one group puts '
            f'{groups.max_dense} dense keypoints in their place; raise the '
            'last rate or the input size'
        )
    return num_keeps


def make_plan(
    num_keeps: Sequence[int],
    num_patches: int,
    depth: int,
    groups: KeypointGroups,
) -> list[Step]:
    """Return one step for each layer.

    Args:
        num_keeps: Patches kept in each quarter of the layers.
        num_patches: Patches of the image.
        depth: Number of layers.
        groups: Keypoints of the model.
    """
    quarter = depth // 4
    first, second, third, fourth = num_keeps
    third, fourth = map(groups.count_rows, (third, fourth))
    num_kept = {2 * quarter: third}  # by layer; the transition always chooses
    if first < num_patches:
        num_kept[1] = first
    if second < first:
        num_kept[quarter + 1] = second
    if fourth < third:
        num_kept[3 * quarter + 1] = fourth
    stages = [Stage.HUMAN] * (quarter + 1) + [Stage.SPARSE] * (quarter - 1)
    stages += [Stage.DENSE] * (2 * quarter) + [Stage.OUTPUT]
    return [
        Step(layer, stage, next_stage, num_kept.get(layer, 0))
        for layer, (stage, next_stage) in enumerate(pairwise(stages), start=1)
    ]
