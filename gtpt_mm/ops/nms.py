"""Non-maximum suppression: hard, soft, and with the suppressed boxes."""

# N boxes

import numpy as np
import torch
import torchvision
from torch import Tensor

from .precision import widen

METHODS = ('naive', 'linear', 'gaussian')


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
    boxes, scores = widen(boxes, scores)
    if offset:
        # Moving the far corner makes torchvision's width mmcv's width.
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(boxes, scores, float(iou_threshold))


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: str,
    offset: int,
) -> tuple[Tensor, Tensor]:
    """Lower the scores of overlapping boxes instead of removing them.

    The best remaining box is taken in turn, and each other box loses score
    with its IoU o to that box: all of it (naive) or a part o of it (linear)
    where o >= ``iou_threshold``, or all but exp(-o^2 / sigma) (gaussian).

    Source: Bodla et al., "Soft-NMS", Sec. 3. Equal scores are taken in the
    order of mmcv's loop, which swaps boxes as it drops them.

    Args:
        boxes: Corners (x1, y1, x2, y2), (N, 4), in pixels.
        scores: Confidence of each box, (N,).
        iou_threshold: See above; unused by the gaussian method.
        sigma: Width of the gaussian, > 0; used by that method only.
        min_score: Boxes that fall below this score are dropped.
        method: ``'naive'``, ``'linear'`` or ``'gaussian'``.
        offset: 0 or 1; the width of a box is x2 - x1 + offset.

    Returns:
        New scores of the kept boxes and their indices (int64), in the order
        in which they were taken; on the CPU.

    Raises:
        ValueError: If ``method`` is none of the three.
    """
    if method not in METHODS:
        raise ValueError(
            f'soft_nms: method must be one of {METHODS}, got {method!r}'
        )
    corners, score = (t.detach().cpu().numpy() for t in widen(boxes, scores))
    score = score.copy()
    order = np.arange(len(corners))
    taken = 0
    while taken < len(order):
        best = taken + int(np.argmax(score[order[taken:]]))
        order[[taken, best]] = order[[best, taken]]
        rest = order[taken + 1 :]
        iou = _iou(corners[order[taken]], corners[rest], offset)
        if method == 'gaussian':
            weight = np.exp(-(iou**2) / sigma)
        else:
            lowered = 0 if method == 'naive' else 1 - iou
            weight = np.where(iou >= iou_threshold, lowered, 1)
        score[rest] *= weight.astype(score.dtype)
        rest = _drop_by_swapping(rest, score[rest] < min_score)
        order = np.concatenate((order[: taken + 1], rest))
        taken += 1
    kept = torch.from_numpy(order)
    return torch.from_numpy(score)[kept], kept


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group each kept box with the boxes that it suppresses.

    Args:
        dets: (x1, y1, x2, y2, score), (N, 5), in pixels.
        iou_threshold: A box joins the best box with which its IoU is at
            least this large.

    Returns:
        Indices per group, best score first.
    """
    rows = widen(dets)[0].detach().cpu().numpy()
    corners = rows[:, :4]
    rest = np.argsort(-rows[:, 4], kind='stable')
    groups = []
    while len(rest):
        best, rest = rest[0], rest[1:]
        joins = _iou(corners[best], corners[rest], 0) >= iou_threshold
        groups.append([int(best), *rest[joins].tolist()])
        rest = rest[~joins]
    return groups


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
