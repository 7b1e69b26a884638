"""Non-maximum suppression with the signatures of ``mmcv._ext``."""

# N boxes

import numpy as np
import torch
import torchvision
from torch import Tensor

NAIVE, LINEAR, GAUSSIAN = range(3)  # mmcv's numbers of the soft-NMS methods


def nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int
) -> Tensor:
    """Keep the best box of every group of overlapping boxes.

    Args:
        boxes: Corners (x1, y1, x2, y2), (N, 4), in pixels.
        scores: Confidence of each box, (N,).
        iou_threshold: A box goes if its IoU with a better one is larger.
        offset: 0 or 1; the width of a box is x2 - x1 + offset.

    Returns:
        Indices of the kept boxes, best first, int64.
    """
    boxes, scores = _at_least_float32(boxes), _at_least_float32(scores)
    if offset:
        # Moving the far corner makes torchvision's width mmcv's width.
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(boxes, scores.to(boxes), float(iou_threshold))


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Lower the scores of overlapping boxes instead of removing them.

    The best remaining box is taken in turn, and each other box loses score
    with its IoU o to that box: all of it (naive) or a part o of it (linear)
    where o >= ``iou_threshold``, or all but exp(-o^2 / sigma) (gaussian).

    Source: Bodla et al., "Soft-NMS", Sec. 3. Equal scores are taken in the
    order of mmcv's loop, which moves boxes around as it drops them.

    Args:
        boxes: Corners (x1, y1, x2, y2), (N, 4), in pixels, on the CPU.
        scores: Confidence of each box, (N,).
        dets: Receives (x1, y1, x2, y2, new score) of the kept boxes in its
            first rows, (N, 5).
        iou_threshold: See above; unused by the gaussian method.
        sigma: Width of the gaussian, > 0; used by that method only.
        min_score: Boxes that fall below this score are dropped.
        method: 0 naive, 1 linear, 2 gaussian.
        offset: 0 or 1; the width of a box is x2 - x1 + offset.

    Returns:
        Indices of the kept boxes in the order of ``dets``, int64.

    Raises:
        ValueError: If ``method`` is none of the three.
    """
    if method not in (NAIVE, LINEAR, GAUSSIAN):
        raise ValueError(
            f'softnms: method must be 0 (naive), 1 (linear) or 2 (gaussian), '
            f'got {method}'
        )
    corners = _at_least_float32(boxes).detach().cpu().numpy()
    score = _at_least_float32(scores).detach().cpu().numpy().copy()
    order = np.arange(len(corners))
    taken = 0
    while taken < len(order):
        best = taken + int(np.argmax(score[order[taken:]]))
        order[[taken, best]] = order[[best, taken]]
        rest = order[taken + 1 :]
        iou = _iou(corners[order[taken]], corners[rest], offset)
        if method == GAUSSIAN:
            weight = np.exp(-(iou**2) / sigma)
        else:
            lowered = 0 if method == NAIVE else 1 - iou
            weight = np.where(iou >= iou_threshold, lowered, 1)
        score[rest] *= weight.astype(score.dtype)
        rest = _drop_by_swapping(rest, score[rest] < min_score)
        order = np.concatenate((order[: taken + 1], rest))
        taken += 1
    kept = torch.from_numpy(order)
    dets[: len(kept), :4] = boxes.detach().to(dets)[kept]
    dets[: len(kept), 4] = torch.from_numpy(score).to(dets)[kept]
    return kept


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group each kept box with the boxes that it suppresses.

    Args:
        dets: (x1, y1, x2, y2, score), (N, 5), in pixels.
        iou_threshold: A box joins the best box with which its IoU is at
            least this large.

    Returns:
        Indices per group, best score first.
    """
    dets = _at_least_float32(dets).detach().cpu().numpy()
    corners = dets[:, :4]
    rest = np.argsort(-dets[:, 4], kind='stable')
    groups = []
    while len(rest):
        best, rest = rest[0], rest[1:]
        joins = _iou(corners[best], corners[rest], 0) >= iou_threshold
        groups.append([int(best), *rest[joins].tolist()])
        rest = rest[~joins]
    return groups


def _at_least_float32(x: Tensor) -> Tensor:
    """Widen half precision and integers, for which no kernel exists."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _iou(box: np.ndarray, boxes: np.ndarray, offset: int) -> np.ndarray:
    """Return the IoU of one box (4,) with others (N, 4); NaN if empty."""

    def area(corners: np.ndarray) -> np.ndarray:
        size = corners[..., 2:] - corners[..., :2] + offset
        return size[..., 0] * size[..., 1]

    near = np.maximum(box[:2], boxes[:, :2])
    far = np.minimum(box[2:], boxes[:, 2:])
    size = np.maximum(far - near + offset, 0)
    inter = size[:, 0] * size[:, 1]
    with np.errstate(invalid='ignore', divide='ignore'):
        return inter / (area(box) + area(boxes) - inter)


def _drop_by_swapping(items: np.ndarray, drop: np.ndarray) -> np.ndarray:
    """Remove the marked items, each hole filled with the last item left."""
    items, drop = items.copy(), drop.copy()
    end, at = len(items), 0
    while at < end:
        if drop[at]:
            end -= 1
            items[at], drop[at] = items[end], drop[end]
        else:
            at += 1
    return items[:end]
