"""Trade trainability for speed: a model for inference only."""

import copy

from mmcv.cnn import fuse_conv_bn
from mmpose.models.pose_estimators.base import BasePoseEstimator


def prepare_for_inference(
    model: BasePoseEstimator, chunk_size: int | None = 8
) -> BasePoseEstimator:
    """Return a faster copy of a trained model, with equal predictions.

    BatchNorms are folded into convolutions. A backbone that can do more has a
    method ``fold_for_inference`` (GTPT: channels-last stem, no shuffles); for
    every other, and for necks and heads, mmcv's ``fuse_conv_bn`` does it.

    Args:
        model: Estimator, ours or mmpose's, on any device; it stays as it is.
        chunk_size: Images that pass GTPT at once on a CPU; None passes the
            whole batch. Other models ignore it. Give None to export a model
            with any batch size, or to compile large batches: a graph holds
            the chunks one by one, so it fixes the batch and grows with it.

    Returns:
        A copy in eval mode that predicts, and is moved and cast as usual. It
        does not train, and its checkpoints load nowhere else.

    Example:
        >>> from mmpose.apis import inference_topdown, init_model
        >>> model = init_model(config, checkpoint)  # doctest: +SKIP
        >>> model = prepare_for_inference(model)  # doctest: +SKIP
        >>> inference_topdown(model, 'person.jpg')  # doctest: +SKIP
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    for name in ('backbone', 'neck', 'head'):
        module = getattr(model, name, None)
        if hasattr(module, 'fold_for_inference'):
            module.fold_for_inference(chunk_size)
        elif module is not None:
            setattr(model, name, fuse_conv_bn(module))
    return model
