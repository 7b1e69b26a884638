"""Heatmap mask of image regions without annotated keypoints."""

import numpy as np
import pycocotools.mask as cocomask
from mmpose.datasets.transforms import BottomupGetHeatmapMask
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CrowdHeatmapMask(BottomupGetHeatmapMask):
    """mmpose's ``BottomupGetHeatmapMask`` that masks crowds as well.

    COCO gives a crowd as run lengths in a dict, a person as polygons in a
    list. mmpose 1.3.2 ignores the dicts, so people in a crowd, who have no
    keypoints, are trained as background. It also reads masks with xtcocotools,
    which fails with numpy 2 (``NPY_OWNDATA``); this class uses pycocotools.

    Arguments, keys and the result are those of ``BottomupGetHeatmapMask``.
    """

    def _segs_to_mask(
        self, segs: list, img_shape: tuple[int, int]
    ) -> np.ndarray:
        """Return 1 where any of the segments is, (h, w) of ``img_shape``."""
        runs = []
        for segment in segs:
            if isinstance(segment, dict) and isinstance(
                segment['counts'], bytes | str
            ):
                runs.append(segment)
            elif segment:
                found = cocomask.frPyObjects(segment, *img_shape)
                runs.extend(found if isinstance(found, list) else [found])
        if not runs:
            return np.zeros(img_shape, np.uint8)
        return cocomask.decode(cocomask.merge(runs))
