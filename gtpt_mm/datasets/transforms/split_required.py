"""Placeholder pipeline of several datasets, which raises an error."""

from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SplitRequired(BaseTransform):
    """Placeholder for the single pipeline, which several datasets lack.

    mmpose's inferencer and ``inference_topdown`` build ``pipeline`` of the
    test dataset. They know neither the pipelines within a ``MultiDataset``
    nor the dataset of an image. Given as its ``pipeline``, this error tells
    the user to split the model; ``MultiDataset`` itself does not build it.

    Raises:
        ValueError: Whenever it is built.
    """

    def __init__(self) -> None:
        raise ValueError(
            'this config has several datasets, each with its own pipeline and '
            'head, and the dataset of an image is unknown. '
            'Split off the model of one dataset and predict with that: '
            'gtpt-mm split CONFIG CHECKPOINT FOLDER --dataset NAME'
        )

    def transform(self, results: dict) -> dict:
        """Never called: it cannot be built."""
        raise NotImplementedError
