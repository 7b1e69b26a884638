"""Pictures of predictions for several datasets."""

from typing import Any

import numpy as np
from mmpose.registry import VISUALIZERS
from mmpose.structures import PoseDataSample
from mmpose.visualization import PoseLocalVisualizer


@VISUALIZERS.register_module()
class MultiDatasetVisualizer(PoseLocalVisualizer):
    """Draw each sample with the skeleton and the colours of its dataset.

    mmpose's visualizer has those of one dataset and refuses samples with
    another number of keypoints. With the metainfo of a ``MultiDataset``, this
    one chooses by the ``dataset_idx`` of a sample. With the metainfo of one
    dataset, or without a ``dataset_idx``, it behaves as mmpose's. The
    arguments are the same.
    """

    _metainfos: dict | None = None  # of one dataset only

    def set_dataset_meta(
        self, dataset_meta: dict, skeleton_style: str = 'mmpose'
    ) -> None:
        """Take the metainfo of a ``MultiDataset``, or of one dataset."""
        super().set_dataset_meta(dataset_meta, skeleton_style)
        self._metainfos = self.dataset_meta.get('datasets')
        self._names = self.dataset_meta.get('dataset_names')
        self._skeleton_style = skeleton_style

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: PoseDataSample,
        *args: Any,
        **kwargs: Any,
    ) -> np.ndarray | None:
        """Draw a sample, see ``PoseLocalVisualizer``."""
        idx = data_sample.metainfo.get('dataset_idx')
        if idx is not None and self._metainfos is not None:
            meta = self._metainfos[self._names[idx]]
            super().set_dataset_meta(meta, self._skeleton_style)
        return super().add_datasample(
            name, image, data_sample, *args, **kwargs
        )
