"""Claims of the papers, and the runs that test them."""

from collections.abc import Sequence
from dataclasses import dataclass

HELD = 'held'
SAME = 'identical'
NO_LOSS = 'no loss seen'
FAILED = 'did not hold'
OPEN = 'cannot be told'
MISSING = 'not run'


@dataclass(frozen=True)
class Claim:
    """A claim of a paper as a comparison of two variants by one metric.

    Attributes:
        paper: Name of the model.
        text: The claim as the table words it.
        better: Runs of the variant that should be better, one per seed.
        other: Runs of the variant it is compared with.
        metric: Name of the metric; larger is better.
        is_equal: Whether the claim is that nothing is lost.
        spread: Pairs of runs that differ only in the seed, for claims where
            neither variant has two seeds.
    """

    paper: str
    text: str
    better: tuple[str, ...]
    other: tuple[str, ...]
    metric: str = 'at_0.1/PCK'
    is_equal: bool = False
    spread: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[str, ...]:
        """All runs of the claim."""
        return (*self.better, *self.other, *self.spread)


def measure_spread(*variants: Sequence[float]) -> float | None:
    """Return the largest difference between seeds of a variant.

    Returns:
        The difference, None if no variant has two seeds.
    """
    ranges = [max(seeds) - min(seeds) for seeds in variants if len(seeds) > 1]
    return max(ranges, default=None)


def judge(
    better: Sequence[float],
    other: Sequence[float],
    spread: float | None,
    is_equal: bool = False,
) -> str:
    """Return whether a claim held.

    A difference counts if it exceeds twice the spread of seeds. If the claim
    is that nothing is lost, the figures are identical, or no loss is seen, or
    there is one.

    Args:
        better: Figures of the variant that should be better, by seed.
        other: Those of the other variant.
        spread: Largest difference between seeds; None if unknown.
        is_equal: Whether the claim is that nothing is lost.

    Example:
        >>> judge([0.50, 0.52], [0.40], spread=0.02)
        'held'
        >>> judge([0.50, 0.52], [0.53], spread=0.02)
        'cannot be told'
        >>> judge([0.50, 0.52], [0.53], spread=0.02, is_equal=True)
        'no loss seen'
    """
    if not better or not other:
        return MISSING
    difference = sum(better) / len(better) - sum(other) / len(other)
    if is_equal and difference == 0:
        return SAME
    if spread is None:
        return OPEN
    if difference < -2 * spread:
        return FAILED
    if is_equal:
        return NO_LOSS
    return HELD if difference > 2 * spread else OPEN


BEES = ('bee_gtpt', 'bee_gtpt_seed2')
PEOW1 = ('peow1', 'peow1_seed2')
PEOW3 = ('peow3', 'peow3_seed2')
THREE = ('plus_three', 'plus_three_seed2')
TINY = ('tiny', 'tiny_seed2')
CLAIMS = [
    Claim('GTPT', 'groups and masks help', BEES, ('bee_no-groups',)),
    Claim(
        'GTPT',
        'pruning loses nothing against all tokens',
        BEES,
        ('bee_unpruned',),
        is_equal=True,
    ),
    Claim(
        'GTPT',
        'with the global-perceived loss pruning is better than without',
        BEES,
        ('bee_direct',),
    ),
    Claim('GTPT', 'the G2L term helps', BEES, ('bee_no-g2l',)),
    Claim(
        'GTPT',
        'the curriculum helps',
        ('bee_curriculum',),
        BEES,
    ),
    Claim('HEViTPose', 'PEOW 3 is better than PEOW 1', PEOW3, PEOW1),
    Claim(
        'ViTPose',
        'full attention is better than plain windows',
        TINY,
        ('tiny_windows',),
    ),
    Claim(
        'ViTPose',
        'shifting and pooling make up for windows',
        ('tiny_windows-shift-pool',),
        ('tiny_windows',),
        spread=TINY,
    ),
    Claim(
        'ViTPose',
        'MAE on the pictures of the task helps',
        ('tiny_from-mae',),
        TINY,
    ),
    Claim(
        'ViTPose',
        'heatmaps of a larger model help',
        ('tiny_distilled',),
        ('tiny_4-epochs',),
        spread=TINY,
    ),
    *(
        Claim(
            'ViTPose++',
            f'one model of three sets loses nothing on {name}',
            THREE,
            (f'plus_only-{name}',),
            metric=f'{name}/PCK',
            is_equal=True,
        )
        for name in ('lspet', 'bee', 'mouse')
    ),
    Claim(
        'ViTPose++',
        'a fourth set gains from the three',
        ('plus_add-coco',),
        ('plus_only-coco', 'plus_only-coco_seed2'),
        metric='coco/PCK',
    ),
    *(
        Claim(
            'ViTPose++',
            f'adding a fourth set does not change {name}',
            ('plus_add-coco',),
            ('plus_three',),
            metric=f'{name}/PCK',
            is_equal=True,
        )
        for name in ('lspet', 'bee', 'mouse')
    ),
    Claim(
        'Group Pose',
        'group attention is better than one attention over all queries',
        ('group-pose', 'group-pose_seed2'),
        ('group-pose_standard',),
        metric='coco/AP .5',
    ),
]
