"""The APT-36K dataset, which mmpose lacks."""

from pathlib import Path

from mmpose.datasets.datasets.animal import AP10KDataset
from mmpose.registry import DATASETS


@DATASETS.register_module()
class APT36KDataset(AP10KDataset):
    """Animals of 30 species in clips of videos, 17 keypoints as in AP-10K.

    Source: Yang et al., "APT-36K: A Large-scale Benchmark for Animal Pose
    Estimation and Tracking", NeurIPS 2022. Annotations are in COCO's format.
    Arguments are those of mmpose's ``BaseCocoStyleDataset``.
    """

    METAINFO: dict = dict(
        from_file=str(Path(__file__).with_name('apt36k_metainfo.py'))
    )
