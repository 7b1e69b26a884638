"""Token pictures of a GTPT, by kind."""

from collections.abc import Sequence

import numpy as np
from mmpose.models import TopdownPoseEstimator

from gtpt_mm.models.backbones import GTPT
from gtpt_mm.visualization.canvas import stack

from .attention import draw_attention, draw_shallow
from .crops import Crop, check_backbone
from .keypoints import Keypoints, find_keypoints
from .pruning import draw_pruning

#: Figs. 8, 9 and 10 of the paper's supplement.
KINDS = ('pruning', 'attention', 'shallow')


def check_options(
    kind: str,
    keypoints: Keypoints | None = None,
    layers: Sequence[int] | None = None,
) -> None:
    """Raise a ValueError for an unknown kind, or options it would ignore."""
    if kind not in KINDS:
        raise ValueError(f'unknown kind {kind!r}, choose one of {KINDS}')
    if kind == 'pruning' and not (keypoints is None and layers is None):
        raise ValueError(
            "the kind 'pruning' draws all groups and stages; leave out "
            f'keypoints ({keypoints}) and layers ({layers}), or choose '
            "'attention' or 'shallow'"
        )
    if kind == 'shallow' and layers is not None and len(layers) != 1:
        raise ValueError(
            f"the kind 'shallow' draws one layer, got {list(layers)}; for "
            "several choose 'attention'"
        )


def draw_tokens(
    model: TopdownPoseEstimator,
    crops: Sequence[Crop],
    kind: str = 'pruning',
    keypoints: Keypoints | None = None,
    layers: Sequence[int] | None = None,
    dataset_meta: dict | None = None,
) -> np.ndarray:
    """Draw the tokens that a GTPT keeps or attends to, for some instances.

    The percentage above an attention map is the share of the attention that
    goes to image patches; the rest goes to keypoint tokens.

    The paper calls the layer of its Fig. 10 (``'shallow'``) the 4th. In the
    official code keypoint tokens are created after the attention of that
    layer, so its maps are those of the human token, equal for all keypoints.
    The default is therefore the 5th.

    Args:
        model: Estimator with a GTPT backbone, from ``mmpose.apis.init_model``.
        crops: Instances, from :func:`crop_instances`.
        kind: ``'pruning'``, the tokens left by each pruning step;
            ``'attention'``, the attention of keypoints in all layers,
            unpruned and pruned; ``'shallow'``, that of many keypoints in one
            layer.
        keypoints: Names or indices; None is the first sparse keypoint of
            each group (``'attention'``) or all sparse ones (``'shallow'``).
        layers: Layers, counted from 1; None is all (``'attention'``) or the
            first with keypoint tokens (``'shallow'``, which draws one).
        dataset_meta: Meta information that names the keypoints; None is the
            model's.

    Returns:
        Picture, BGR, uint8, with the instances below each other.

    Raises:
        ValueError: If kind and options do not fit each other, a keypoint or
            layer does not exist, or the backbone is not a GTPT.
    """
    check_backbone(model)
    check_options(kind, keypoints, layers)
    backbone = model.backbone
    if kind == 'pruning':
        return stack([draw_pruning(backbone, crop) for crop in crops])
    if keypoints is None and kind == 'attention':
        keypoints = [sparse[0] for sparse in backbone.groups.group_sparse]
    elif keypoints is None:
        keypoints = backbone.groups.sparse
    meta = model.dataset_meta if dataset_meta is None else dataset_meta
    found = find_keypoints(keypoints, meta, backbone.groups)
    if kind == 'attention':
        every = range(1, backbone.depth + 1)
        layers = _check_layers(backbone, every if layers is None else layers)
        return stack(
            [draw_attention(backbone, crop, found, layers) for crop in crops]
        )
    first = backbone.depth // 4 + 2
    [layer] = _check_layers(backbone, [first] if layers is None else layers)
    return stack(
        [draw_shallow(backbone, crop, found, layer) for crop in crops]
    )


def _check_layers(backbone: GTPT, layers: Sequence[int]) -> Sequence[int]:
    """Return the layers; raise a ValueError if one does not exist."""
    depth = backbone.depth
    wrong = [layer for layer in layers if not 1 <= layer <= depth]
    if wrong or not layers:
        raise ValueError(
            f'layers must lie in 1..{depth}, counted from 1, and be at least '
            f'one, got {list(layers)}'
        )
    return layers
