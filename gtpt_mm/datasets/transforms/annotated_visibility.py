"""Keypoint visibility as COCO-WholeBody's files give it."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS

#: Where an annotation keeps the keypoints of body, feet, face and hands.
FIELDS = (
    'keypoints',
    'foot_kpts',
    'face_kpts',
    'lefthand_kpts',
    'righthand_kpts',
)


@TRANSFORMS.register_module()
class AnnotatedVisibility(BaseTransform):
    """Read the visibility of 133 keypoints without rounding it up.

    Some hands of COCO-WholeBody carry a confidence between 0 and 1 where
    others carry 1 or 2. Stock ``CocoWholeBodyDataset`` takes everything above
    0 for visible; here the visibility is

        min(v, 1)

    so that a doubtful keypoint weighs less in the loss, and one of at most
    0.5 has no target (see ``UnroundedSimCCLabel``). Put it first in a
    training pipeline.

    Source: the dataset of the official code of GTPT.

    Required keys: ``raw_ann_info``, ``keypoints_visible``. Modified key:
    ``keypoints_visible``, (1, K).
    """

    def transform(self, results: dict) -> dict:
        """Return the sample with the visibility of its annotation.

        Raises:
            ValueError: If the sample has no COCO-WholeBody annotation, or one
                with another number of keypoints.
        """
        annotation = results.get('raw_ann_info') or {}
        missing = [field for field in FIELDS if field not in annotation]
        if missing:
            raise ValueError(
                f'the annotation has no {missing}; AnnotatedVisibility is for '
                'the training pipeline of a CocoWholeBodyDataset'
            )
        flags = np.concatenate(
            [
                np.asarray(annotation[field], np.float32)[2::3]
                for field in FIELDS
            ]
        )
        visible = np.clip(flags, 0, 1)[None]
        if visible.shape != results['keypoints_visible'].shape:
            raise ValueError(
                f'the annotation has {visible.shape[1]} keypoints, the sample '
                f'{results["keypoints_visible"].shape[-1]}; put '
                'AnnotatedVisibility before steps that change keypoints'
            )
        return {**results, 'keypoints_visible': visible}
