"""Annotation and result files in COCO's format."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import coco


class COCO(coco.COCO):
    """pycocotools' ``COCO`` with the arguments of xtcocotools'.

    Ids may be strings, ``iscrowd`` may be missing (no crowd), results may be
    an empty list, and the limits of an area range include the lower one.

    Args:
        annotation_file: Path of the annotations; None reads nothing.
        test_index: Indices of the keypoints to keep; None keeps all.
        ann_data: Content of the file, which is then not read.
    """

    def __init__(
        self,
        annotation_file: str | None = None,
        test_index: Sequence[int] | None = None,
        ann_data: dict | None = None,
    ) -> None:
        if annotation_file is None or ann_data is None:
            super().__init__(annotation_file)
        else:
            super().__init__()
            print('loading annotations into memory...')
            self.dataset = ann_data
            print('Done (t=0.00s)')
            self.createIndex()
        #: Paths of the annotations and, after ``loadRes``, of the results.
        self.anno_file: list = [annotation_file]
        self.test_index = test_index
        for ann in self.dataset.get('annotations', ()):
            if test_index is not None:
                points = np.array(ann['keypoints']).reshape(-1, 3)
                ann['keypoints'] = points[test_index].reshape(-1).tolist()
            ann.setdefault('iscrowd', False)

    def getAnnIds(
        self,
        imgIds: Any = (),
        catIds: Any = (),
        areaRng: Sequence[float] = (),
        iscrowd: bool | None = None,
    ) -> list:
        """Return the ids of the annotations that meet all conditions."""
        ids = super().getAnnIds(_listed(imgIds), _listed(catIds), [], iscrowd)
        if len(areaRng) == 0:
            return ids
        low, high = areaRng
        return [i for i in ids if low <= self.anns[i]['area'] < high]

    def getCatIds(
        self, catNms: Any = (), supNms: Any = (), catIds: Any = ()
    ) -> list:
        """Return the ids of the categories that meet all conditions."""
        return super().getCatIds(
            _listed(catNms), _listed(supNms), _listed(catIds)
        )

    def getImgIds(self, imgIds: Any = (), catIds: Any = ()) -> list:
        """Return the ids of the images that meet all conditions."""
        return super().getImgIds(_listed(imgIds), _listed(catIds))

    def loadAnns(self, ids: Any = ()) -> list[dict]:
        """Return the annotations of these ids."""
        return super().loadAnns(_listed(ids))

    def loadCats(self, ids: Any = ()) -> list[dict]:
        """Return the categories of these ids."""
        return super().loadCats(_listed(ids))

    def loadImgs(self, ids: Any = ()) -> list[dict]:
        """Return the images of these ids."""
        return super().loadImgs(_listed(ids))

    def loadRes(self, resFile: Any, resData: list | None = None) -> 'COCO':
        """Return the results, indexed as annotations are.

        Args:
            resFile: Path of the results, or the results.
            resData: Content of the file, which is then not read.

        Raises:
            AssertionError: If the results are not a list, or refer to images
                that the annotations lack.
        """
        if len(self.anno_file) == 1:
            self.anno_file.append(resFile)
        found = resFile
        if isinstance(resFile, str):
            found = resData
            if resData is None:
                with open(resFile) as file:
                    found = json.load(file)
        results = COCO()
        if isinstance(found, list) and not found:  # pycocotools fails
            print('Loading and preparing results...')
            print('DONE (t=0.00s)')
            results.dataset = dict(
                images=list(self.dataset['images']), annotations=[]
            )
            results.createIndex()
        else:
            results.__dict__.update(super().loadRes(found).__dict__)
        return results


def _listed(ids: Any) -> Any:
    """Return one id in a list, several as they are."""
    return [ids] if isinstance(ids, str) else ids
