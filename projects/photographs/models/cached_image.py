"""Pictures that are decoded once."""

from mmpose.datasets.transforms import LoadImage
from mmpose.registry import TRANSFORMS
from numpy import ndarray


@TRANSFORMS.register_module()
class LoadCachedImage(LoadImage):
    """``LoadImage`` that keeps the decoded pictures of a small set.

    The 2,236 pictures of ``lspet_sub`` take half a gigabyte. Transforms that
    follow must not write into ``img``; those of mmpose's top-down pipelines
    return new arrays.
    """

    _images: dict[str, ndarray] = {}

    def transform(self, results: dict) -> dict | None:
        """Return the results with ``img``, decoded or from memory."""
        path = results.get('img_path')
        if results.get('img') is None and path in self._images:
            results['img'] = self._images[path]
        results = super().transform(results)
        if path is not None and results is not None:
            self._images[path] = results['img']
        return results
