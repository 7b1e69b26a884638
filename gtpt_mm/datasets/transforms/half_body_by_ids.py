"""Half-body crops whose halves are named in the config."""

from collections.abc import Sequence

from mmpose.datasets.transforms import RandomHalfBody
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomHalfBodyByIds(RandomHalfBody):
    """Crop to the upper or the lower body, both given as keypoint indices.

    Stock ``RandomHalfBody`` reads the halves from the dataset's metainfo,
    where COCO-WholeBody's face and hands belong to neither. They are then
    ignored and may lie outside the crop of the upper body. The official code
    of GTPT counts them as upper body.

    Args:
        upper_body_ids: Indices of the upper body's keypoints.
        lower_body_ids: Indices of the lower body's keypoints.
        min_total_keypoints: Visible keypoints that a person must have.
        min_upper_keypoints: Visible keypoints that an upper body must have.
        min_lower_keypoints: Visible keypoints that a lower body must have.
        padding: Factor on the box of the visible keypoints of the half.
        prob: Probability of a half-body crop.
        upper_prioritized_prob: Probability of the upper body where both
            halves have enough keypoints.

    Raises:
        ValueError: If a half is empty, or a keypoint is in both; if an index
            is not one of the person's keypoints.
    """

    def __init__(
        self,
        upper_body_ids: Sequence[int],
        lower_body_ids: Sequence[int],
        min_total_keypoints: int = 9,
        min_upper_keypoints: int = 3,
        min_lower_keypoints: int = 3,
        padding: float = 1.5,
        prob: float = 0.3,
        upper_prioritized_prob: float = 0.7,
    ) -> None:
        super().__init__(
            min_total_keypoints=min_total_keypoints,
            min_upper_keypoints=min_upper_keypoints,
            min_lower_keypoints=min_lower_keypoints,
            padding=padding,
            prob=prob,
            upper_prioritized_prob=upper_prioritized_prob,
        )
        self.halves = dict(
            upper_body_ids=list(upper_body_ids),
            lower_body_ids=list(lower_body_ids),
        )
        for name, ids in self.halves.items():
            if not ids:
                raise ValueError(f'{name} is empty')
        both = set(upper_body_ids) & set(lower_body_ids)
        if both:
            raise ValueError(
                f'keypoints {sorted(both)} are in upper_body_ids and in '
                'lower_body_ids; leave each in one of them'
            )

    def transform(self, results: dict) -> dict:
        """Return the sample with the box of a half, or of the whole body."""
        num_keypoints = results['keypoints'].shape[1]
        for name, ids in self.halves.items():
            wrong = [i for i in ids if not 0 <= i < num_keypoints]
            if wrong:
                raise ValueError(
                    f'{name} has {wrong}, but the person has keypoints '
                    f'0..{num_keypoints - 1}'
                )
        changed = super().transform({**results, **self.halves})
        boxes = {key: changed[key] for key in ('bbox_center', 'bbox_scale')}
        return {**results, **boxes}
