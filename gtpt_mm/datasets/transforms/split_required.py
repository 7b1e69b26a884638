"""An error where a pipeline of one dataset is looked for."""

from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SplitRequired(BaseTransform):
    """Stand for the one pipeline that a config of several datasets has not.

    mmpose's inferencer and ``inference_topdown`` build ``pipeline`` of the
    test dataset and know nothing of the pipelines within a ``MultiDataset``,
    nor which of its datasets an image is of. Given as its ``pipeline``, this
    tells them what to do; ``MultiDataset`` itself does not build it.

    Raises:
        ValueError: Whenever it is built.
    """

    def __init__(self) -> None:
        raise ValueError(
            'this config is of several datasets, each with a pipeline and a '
            'head of its own, and nothing says which one an image is of. '
            'Split off the model of one dataset and predict with that: '
            'gtpt-mm split CONFIG CHECKPOINT FOLDER --dataset NAME'
        )

    def transform(self, results: dict) -> dict:
        """Never called: it cannot be built."""
        raise NotImplementedError
