"""A dataset whose annotations are a table."""

import csv
from pathlib import Path

import numpy as np
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.registry import DATASETS


@DATASETS.register_module()
class CsvPoseDataset(BaseCocoStyleDataset):
    """One instance in each row of a CSV file.

    Columns are ``file``; ``left``, ``top``, ``right``, ``bottom`` of the
    bounding box; and ``NAME_x``, ``NAME_y`` of each keypoint, empty if it is
    not labelled. All are in pixels of the image.

    A dataset in COCO's format needs no class: ``CocoDataset`` with
    ``metainfo=dict(from_file='metainfo.py')`` reads it.
    """

    METAINFO = dict(from_file=str(Path(__file__).with_name('metainfo.py')))

    def load_data_list(self) -> list[dict]:
        """Return the inputs of the pipeline, a dict for each row.

        Raises:
            ValueError: If a column is missing.
        """
        names = [*self.metainfo['keypoint_name2id']]
        with open(self.ann_file, newline='') as file:
            table = csv.DictReader(file)
            wanted = {f'{name}_{axis}' for name in names for axis in 'xy'}
            missing = sorted(wanted - set(table.fieldnames or ()))
            if missing:
                raise ValueError(
                    f'{self.ann_file} has no column {missing[0]!r}, which '
                    f'{self.METAINFO["from_file"]} names'
                )
            return [self._read(i, row, names) for i, row in enumerate(table)]

    def _read(self, index: int, row: dict[str, str], names: list) -> dict:
        cells = [[row[f'{name}_{axis}'] for axis in 'xy'] for name in names]
        keypoints = [[float(x or 0), float(y or 0)] for x, y in cells]
        visible = [bool(x and y) for x, y in cells]
        box = [float(row[x]) for x in ('left', 'top', 'right', 'bottom')]
        return dict(
            id=index,
            img_id=index,
            img_path=str(Path(self.data_prefix['img'], row['file'])),
            category_id=1,
            bbox=np.array([box], np.float32),
            bbox_score=np.ones(1, np.float32),
            keypoints=np.array([keypoints], np.float32),  # (1, K, 2)
            keypoints_visible=np.array([visible], np.float32),  # (1, K)
        )
