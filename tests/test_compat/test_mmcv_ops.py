"""The supplied operators against naive loops in float64."""

import importlib
import math
import subprocess
import sys
from types import ModuleType
from unittest import mock

import mmcv.ops
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from gtpt_mm import ops
from gtpt_mm.compat.stack import mmcv_ops

pytestmark = pytest.mark.skipif(
    mmcv_ops.compiled_mmcv() is not None, reason='compiled mmcv is installed'
)


# ---------------------------------------------------------------- references


def naive_iou(a, b, offset=0):
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + offset, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + offset, 0)
    inter = width * height
    areas = [(c[2] - c[0] + offset) * (c[3] - c[1] + offset) for c in (a, b)]
    return inter / (sum(areas) - inter)


def naive_nms(boxes, scores, threshold, offset=0):
    rest = sorted(range(len(boxes)), key=lambda i: -scores[i])
    kept = []
    while rest:
        best = rest.pop(0)
        kept.append(best)
        rest = [
            i
            for i in rest
            if naive_iou(boxes[best], boxes[i], offset) <= threshold
        ]
    return kept


def naive_soft_nms(boxes, scores, threshold, sigma, min_score, method, offset):
    scores = list(scores)
    rest, kept = list(range(len(boxes))), []
    while rest:
        best = max(rest, key=lambda i: scores[i])
        rest.remove(best)
        kept.append((best, scores[best]))
        for i in rest:
            iou = naive_iou(boxes[best], boxes[i], offset)
            if method == 'gaussian':
                scores[i] *= math.exp(-(iou**2) / sigma)
            elif iou >= threshold:
                scores[i] *= 0 if method == 'naive' else 1 - iou
        rest = [i for i in rest if scores[i] >= min_score]
    return kept


def naive_bilinear(x, row, column):
    """Value of a map (H, W) at a place; zero outside."""
    total = 0.0
    for r in (math.floor(row), math.floor(row) + 1):
        for c in (math.floor(column), math.floor(column) + 1):
            if 0 <= r < x.shape[0] and 0 <= c < x.shape[1]:
                weight = (1 - abs(row - r)) * (1 - abs(column - c))
                total += weight * float(x[r, c])
    return total


def naive_roi_align(x, rois, size, scale, ratio, mode, aligned):
    """RoIAlign; places up to one cell outside take the border's value."""
    height, width = x.shape[-2:]
    out = np.zeros((len(rois), x.shape[1], *size))
    for r, (image, *corners) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (c * scale - 0.5 * aligned for c in corners)
        roi_w, roi_h = x2 - x1, y2 - y1
        if not aligned:
            roi_w, roi_h = max(roi_w, 1), max(roi_h, 1)
        grid_h = ratio if ratio > 0 else math.ceil(roi_h / size[0])
        grid_w = ratio if ratio > 0 else math.ceil(roi_w / size[1])
        for c, i, j in np.ndindex(x.shape[1], *size):
            samples = []
            for p, q in np.ndindex(grid_h, grid_w):
                row = y1 + roi_h / size[0] * (i + (p + 0.5) / grid_h)
                column = x1 + roi_w / size[1] * (j + (q + 0.5) / grid_w)
                value = 0.0
                if -1 <= row <= height and -1 <= column <= width:
                    value = naive_bilinear(
                        x[int(image), c],
                        min(max(row, 0), height - 1),
                        min(max(column, 0), width - 1),
                    )
                samples.append(value)
            if samples:
                pool = max if mode == 'max' else np.mean
                out[r, c, i, j] = pool(samples)
    return torch.from_numpy(out)


def naive_deform_conv(
    x, offset, weight, stride, padding, dilation, groups, deform, mask=None
):
    batch, channels = x.shape[:2]
    outs, per_group, kh, kw = weight.shape
    h, w = offset.shape[-2:]
    out = np.zeros((batch, outs, h, w))
    for b, o, i, j in np.ndindex(batch, outs, h, w):
        group = o // (outs // groups)
        for c, m, n in np.ndindex(per_group, kh, kw):
            channel = group * per_group + c
            cell = (channel // (channels // deform)) * kh * kw + m * kw + n
            dy, dx = offset[b, 2 * cell : 2 * cell + 2, i, j].tolist()
            row = i * stride[0] - padding[0] + m * dilation[0] + dy
            column = j * stride[1] - padding[1] + n * dilation[1] + dx
            value = naive_bilinear(x[b, channel], row, column)
            if mask is not None:
                value *= float(mask[b, cell, i, j])
            out[b, o, i, j] += value * float(weight[o, c, m, n])
    return torch.from_numpy(out)


def naive_ms_deform_attn(value, shapes, places, weights):
    batch, _, heads, channels = value.shape
    queries, points = places.shape[1], places.shape[4]
    out = np.zeros((batch, queries, heads, channels))
    start = 0
    for level, (h, w) in enumerate(shapes):
        maps = value[:, start : start + h * w].reshape(
            batch, h, w, heads, channels
        )
        start += h * w
        for b, q, m, d, p in np.ndindex(
            batch, queries, heads, channels, points
        ):
            x, y = places[b, q, m, level, p].tolist()
            sample = naive_bilinear(
                maps[b, :, :, m, d], y * h - 0.5, x * w - 0.5
            )
            out[b, q, m, d] += sample * float(weights[b, q, m, level, p])
    return torch.from_numpy(out.reshape(batch, queries, -1))


# ----------------------------------------------------------------------- nms


def random_boxes(num, size=20.0, dtype=torch.float64):
    near = torch.rand(num, 2, dtype=dtype) * size
    return torch.cat((near, near + 2 + torch.rand(num, 2) * size), dim=1)


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.1, 0.5])
def test_nms(offset, threshold):
    boxes, scores = random_boxes(40), torch.rand(40, dtype=torch.float64)
    dets, kept = mmcv.ops.nms(boxes, scores, threshold, offset=offset)
    expected = naive_nms(boxes.tolist(), scores.tolist(), threshold, offset)
    assert kept.tolist() == expected
    torch.testing.assert_close(
        dets, torch.cat((boxes, scores[:, None]), 1)[kept]
    )


def test_nms_offset_changes_the_result():
    boxes = torch.tensor([[0.0, 0, 1, 1], [0, 1, 1, 2]])
    scores = torch.tensor([0.9, 0.8])
    assert len(mmcv.ops.nms(boxes, scores, 0.3, offset=0)[1]) == 2
    assert len(mmcv.ops.nms(boxes, scores, 0.3, offset=1)[1]) == 1


def test_nms_limits():
    boxes, scores = random_boxes(40), torch.rand(40, dtype=torch.float64)
    kept = mmcv.ops.nms(boxes, scores, 0.5, score_threshold=0.4, max_num=5)[1]
    expected = naive_nms(boxes.tolist(), scores.tolist(), 0.5)
    assert kept.tolist() == [i for i in expected if scores[i] > 0.4][:5]


def test_nms_of_nothing():
    assert len(mmcv.ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5)[1]) == 0
    dets, kept = mmcv.ops.soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert dets.shape == (0, 5) and len(kept) == 0


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_nms_half(dtype):
    boxes = torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 6], [20, 20, 24, 24]])
    scores = torch.tensor([0.5, 0.75, 0.25])
    dets, kept = mmcv.ops.nms(boxes.to(dtype), scores.to(dtype), 0.5)
    assert kept.tolist() == [1, 2] and dets.dtype == dtype
    kept = mmcv.ops.soft_nms(boxes.to(dtype), scores.to(dtype), 0.5)[1]
    assert kept.tolist() == [1, 2, 0]


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize('min_score', [1e-3, 0.3])
def test_soft_nms(method, offset, min_score):
    boxes, scores = random_boxes(25), torch.rand(25, dtype=torch.float64)
    dets, kept = mmcv.ops.soft_nms(
        boxes, scores, 0.3, 0.5, min_score, method, offset
    )
    expected = naive_soft_nms(
        boxes.tolist(), scores.tolist(), 0.3, 0.5, min_score, method, offset
    )
    assert kept.tolist() == [i for i, _ in expected]
    torch.testing.assert_close(
        dets[:, 4], dets.new_tensor([score for _, score in expected])
    )
    torch.testing.assert_close(dets[:, :4], boxes[kept])


def test_soft_nms_takes_equal_scores_in_the_order_of_mmcv():
    # mmcv's own example; its compiled operator returns these indices.
    boxes = np.array(
        [[4, 3, 5, 3], [4, 3, 5, 4], *[[3, 1, 3, 1]] * 4], dtype=np.float32
    )
    scores = np.array([0.9, 0.9, 0.5, 0.5, 0.4, 0.0], dtype=np.float32)
    dets, kept = mmcv.ops.soft_nms(boxes, scores, 0.6, sigma=0.5)
    assert len(kept) == len(dets) == 5
    assert kept.tolist() == [0, 1, 2, 3, 4]


def test_soft_nms_rejects_a_method():
    with pytest.raises(ValueError, match='got 7'):
        sys.modules['mmcv._ext'].softnms(
            torch.zeros(1, 4),
            torch.zeros(1),
            torch.zeros(1, 5),
            iou_threshold=1,
            sigma=1,
            min_score=0,
            method=7,
            offset=0,
        )


@pytest.mark.parametrize('split_thr', [10, 1000])
@pytest.mark.parametrize('kind', ['nms', 'soft_nms'])
def test_batched_nms_keeps_classes_apart(split_thr, kind):
    boxes, scores = random_boxes(30), torch.rand(30, dtype=torch.float64)
    labels = torch.arange(30) % 3
    cfg = dict(type=kind, iou_threshold=0.4, split_thr=split_thr)
    dets, kept = mmcv.ops.batched_nms(boxes, scores, labels, cfg)
    expected = []
    for label in range(3):
        own = (labels == label).nonzero()[:, 0]
        args = boxes[own].tolist(), scores[own].tolist(), 0.4
        if kind == 'nms':
            expected += [
                (own[i].item(), scores[own[i]].item())
                for i in naive_nms(*args)
            ]
        else:
            expected += [
                (own[i].item(), score)
                for i, score in naive_soft_nms(*args, 0.5, 1e-3, 'linear', 0)
            ]
    expected.sort(key=lambda pair: -pair[1])
    assert kept.tolist() == [i for i, _ in expected]
    torch.testing.assert_close(
        dets[:, 4], dets.new_tensor([score for _, score in expected])
    )


def test_nms_match():
    dets = torch.cat((random_boxes(30), torch.rand(30, 1)), dim=1)
    groups = [g.tolist() for g in mmcv.ops.nms_match(dets, 0.3)]
    boxes, scores = dets[:, :4].tolist(), dets[:, 4].tolist()
    assert sorted(sum(groups, [])) == list(range(30))
    assert [g[0] for g in groups] == naive_nms(boxes, scores, 0.3)
    for group in groups:
        assert group == sorted(group, key=lambda i: -scores[i])
        for i in group[1:]:
            assert naive_iou(boxes[group[0]], boxes[i]) >= 0.3


# ----------------------------------------------------------------- roi_align

ROIS = [
    [0, 1.0, 2.0, 9.0, 12.0],
    [1, -3.0, -2.0, 30.0, 6.5],
    [0, 4.2, 4.4, 4.3, 4.6],
    [1, 0.0, 0.0, 19.0, 17.0],
]


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align(mode, aligned, ratio):
    x = torch.rand(2, 3, 9, 10, dtype=torch.float64) - 0.3
    rois = torch.tensor(ROIS, dtype=torch.float64)
    args = ((2, 3), 0.5, ratio, mode, aligned)
    out = mmcv.ops.roi_align(x, rois, *args)
    torch.testing.assert_close(out, naive_roi_align(x, rois, *args))


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align_gradient(mode, aligned, ratio):
    x = torch.rand(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor(ROIS, dtype=torch.float64) * 0.6
    rois[:, 0] = torch.tensor([0, 1, 0, 1])
    assert gradcheck(
        lambda x: mmcv.ops.roi_align(
            x, rois, (2, 2), 0.5, ratio, mode, aligned
        ),
        x,
    )


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_roi_align_half(mode):
    x = torch.rand(1, 2, 8, 8, requires_grad=True)
    rois = torch.tensor([[0, 1.0, 1.0, 12.0, 10.0]])
    args = ((2, 2), 0.5, 0, mode, True)
    full = mmcv.ops.roi_align(x, rois, *args)
    half = mmcv.ops.roi_align(x.bfloat16(), rois.bfloat16(), *args)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), full, atol=0.02, rtol=0.02)
    half.float().sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_roi_align_of_an_empty_region_is_zero():
    x = torch.rand(1, 1, 4, 4, requires_grad=True)
    rois = torch.tensor([[0, 2.0, 2.0, 2.0, 2.0]])
    for mode in ('avg', 'max'):
        out = mmcv.ops.roi_align(x, rois, (1, 1), 1.0, 0, mode, True)
        (grad,) = torch.autograd.grad(out.sum(), x)
        assert out.item() == 0 and grad.abs().sum() == 0


# --------------------------------------------------------------- deform_conv

SHAPES = [  # stride, padding, dilation, groups, deform groups
    ((1, 1), (1, 1), (1, 1), 1, 1),
    ((2, 1), (1, 2), (1, 2), 1, 2),
    ((1, 2), (0, 1), (2, 1), 2, 1),
    ((1, 1), (1, 1), (1, 1), 2, 4),
]


def deform_inputs(stride, padding, dilation, groups, deform, channels=4):
    torch.manual_seed(1)
    kernel = (3, 2)
    x = torch.rand(2, channels, 6, 5, dtype=torch.float64)
    weight = torch.rand(4, channels // groups, *kernel, dtype=torch.float64)
    h, w = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(
            (6, 5), padding, dilation, kernel, stride, strict=True
        )
    )
    shape = (2, 2 * deform * 6, h, w)
    offset = torch.randn(shape, dtype=torch.float64) * 1.3
    mask = torch.rand(2, deform * 6, h, w, dtype=torch.float64)
    return x, offset, weight, mask


@pytest.mark.parametrize('shape', SHAPES)
def test_deform_conv(shape):
    x, offset, weight, _ = deform_inputs(*shape)
    out = mmcv.ops.deform_conv2d(x, offset, weight, *shape)
    torch.testing.assert_close(
        out, naive_deform_conv(x, offset, weight, *shape)
    )


@pytest.mark.parametrize('shape', SHAPES)
def test_modulated_deform_conv(shape):
    x, offset, weight, mask = deform_inputs(*shape)
    bias = torch.rand(4, dtype=torch.float64)
    expected = naive_deform_conv(x, offset, weight, *shape, mask)
    out = mmcv.ops.modulated_deform_conv2d(
        x, offset, mask, weight, None, *shape
    )
    torch.testing.assert_close(out, expected)
    out = mmcv.ops.modulated_deform_conv2d(
        x, offset, mask, weight, bias, *shape
    )
    torch.testing.assert_close(out, expected + bias[:, None, None])


@pytest.mark.parametrize('shape', SHAPES[1:3])
def test_deform_conv_gradients(shape):
    x, offset, weight, mask = (
        t.requires_grad_() for t in deform_inputs(*shape)
    )
    assert gradcheck(
        lambda *args: mmcv.ops.deform_conv2d(*args, *shape),
        (x, offset, weight),
        fast_mode=True,
    )
    bias = torch.rand(4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(
        lambda *args: mmcv.ops.modulated_deform_conv2d(*args, *shape),
        (x, offset, mask, weight, bias),
        fast_mode=True,
    )


def test_deform_conv_parameters_scale_and_add():
    x, offset, weight, _ = deform_inputs(*SHAPES[0])
    grad_output = torch.rand(2, 4, *offset.shape[-2:], dtype=torch.float64)
    empty = x.new_empty(0)
    shape = dict(kW=2, kH=3, dW=1, dH=1, padW=1, padH=1)
    shape |= dict(dilationW=1, dilationH=1, group=1, deformable_group=1)

    def grad_weight(scale, start):
        grad = torch.full_like(weight, start)
        sys.modules['mmcv._ext'].deform_conv_backward_parameters(
            x,
            offset,
            grad_output,
            grad,
            empty,
            empty,
            **shape,
            scale=scale,
            im2col_step=2,
        )
        return grad

    torch.testing.assert_close(
        grad_weight(0.5, 3.0), 3 + 0.5 * grad_weight(1, 0.0)
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_deform_conv_half(dtype):
    layer = mmcv.ops.ModulatedDeformConv2dPack(4, 4, 3, padding=1)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = layer(torch.rand(1, 4, 6, 6))
    out.float().sum().backward()
    assert layer.weight.grad.isfinite().all()
    x, offset, weight, _ = deform_inputs(*SHAPES[0])
    full = mmcv.ops.deform_conv2d(x, offset, weight, *SHAPES[0])
    half = mmcv.ops.deform_conv2d(
        x.to(dtype), offset.to(dtype), weight.to(dtype), *SHAPES[0]
    )
    assert half.dtype == dtype
    torch.testing.assert_close(half.double(), full, atol=0.2, rtol=0.1)


# ------------------------------------------------------------ ms_deform_attn

LEVELS = [(4, 5), (2, 3)]


def attention_inputs(dtype=torch.float64, queries=3):
    torch.manual_seed(2)
    value = torch.rand(2, 26, 2, 3, dtype=dtype)
    places = torch.rand(2, queries, 2, 2, 2, 2, dtype=dtype) * 1.4 - 0.2
    weights = torch.rand(2, queries, 2, 2, 2, dtype=dtype)
    return value, places, weights


def attend(value, places, weights):
    """Call mmcv's autograd function, as mmcv does on CUDA only."""
    function = mmcv.ops.multi_scale_deform_attn
    return function.MultiScaleDeformableAttnFunction.apply(
        value,
        torch.tensor(LEVELS, device=value.device),
        torch.tensor([0, 20], device=value.device),
        places,
        weights,
        64,
    )


def test_ms_deform_attn():
    value, places, weights = attention_inputs()
    expected = naive_ms_deform_attn(value, LEVELS, places, weights)
    torch.testing.assert_close(attend(value, places, weights), expected)
    module = mmcv.ops.multi_scale_deform_attn
    stock = module.multi_scale_deformable_attn_pytorch.__wrapped__
    torch.testing.assert_close(
        stock(value, torch.tensor(LEVELS), places, weights), expected
    )


@pytest.mark.parametrize('num_numbers', [2, 4])
def test_stock_module_gathers_rows_on_a_cpu(num_numbers, monkeypatch):
    """Values and gradients as of mmcv's own function, in and out of maps."""
    module = mmcv.ops.MultiScaleDeformableAttention(
        8, num_heads=2, num_levels=2, num_points=2, dropout=0, batch_first=True
    ).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    file = mmcv.ops.multi_scale_deform_attn
    ours = file.multi_scale_deformable_attn_pytorch
    spy = mock.Mock(wraps=torch.nn.functional.grid_sample)
    monkeypatch.setattr(torch.nn.functional, 'grid_sample', spy)
    results = []
    for function in (ours, ours.__wrapped__):
        monkeypatch.setattr(
            file, 'multi_scale_deformable_attn_pytorch', function
        )
        torch.manual_seed(0)
        leaves = [
            torch.rand(2, 5, 8).double(),
            torch.rand(2, 26, 8).double(),
            torch.rand(2, 5, 2, num_numbers).double() * 1.4 - 0.2,
        ]
        query, value, references = (t.requires_grad_() for t in leaves)
        out = module(
            query,
            value=value,
            reference_points=references,
            spatial_shapes=torch.tensor(LEVELS),
            level_start_index=torch.tensor([0, 20]),
        )
        leaves += module.parameters()
        results.append([out, *torch.autograd.grad(out.sin().sum(), leaves)])
        assert spy.call_count == (0 if function is ours else len(LEVELS))
    for own, expected in zip(*results, strict=True):
        torch.testing.assert_close(own, expected)


def test_traced_graphs_of_the_stock_module_are_stock():
    """They read sizes from tensors; gathered rows would fix them."""
    file = mmcv.ops.multi_scale_deform_attn
    value, places, weights = attention_inputs(torch.float32)
    graph = torch.jit.trace(
        file.multi_scale_deformable_attn_pytorch,
        (value, torch.tensor(LEVELS), places, weights),
    )
    assert 'grid_sampler' in str(graph.graph)
    assert 'embedding_bag' not in str(graph.graph)


def test_ms_deform_attn_gradients():
    inputs = [t.requires_grad_() for t in attention_inputs(queries=2)]
    assert gradcheck(attend, inputs, fast_mode=True)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_ms_deform_attn_half_keeps_the_places(dtype):
    value, places, weights = (
        t.requires_grad_() for t in attention_inputs(torch.float32)
    )
    full = attend(value, places, weights)
    half = attend(value.to(dtype), places, weights.to(dtype))
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), full, atol=0.02, rtol=0.02)
    half.float().sum().backward()
    assert places.grad.dtype == torch.float32
    for tensor in (value, places, weights):
        assert tensor.grad.isfinite().all() and tensor.grad.abs().sum() > 0


def test_ms_deform_attn_module_under_autocast():
    module = mmcv.ops.MultiScaleDeformableAttention(
        8, num_heads=2, num_levels=2, num_points=2, batch_first=True
    )
    query = torch.rand(2, 3, 8, requires_grad=True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = module(
            query,
            value=torch.rand(2, 26, 8),
            reference_points=torch.rand(2, 3, 2, 2),
            spatial_shapes=torch.tensor(LEVELS),
            level_start_index=torch.tensor([0, 20]),
        )
    out.float().sum().backward()
    assert query.grad.isfinite().all()
    assert module.value_proj.weight.grad.abs().sum() > 0


# -------------------------------------------------------------------- CUDA


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_cuda_equals_cpu(dtype):
    """Values and gradients; half precision within its own rounding."""
    boxes, scores = random_boxes(40).float(), torch.rand(40)
    kept = mmcv.ops.nms(boxes, scores, 0.5)[1].tolist()
    on_gpu = mmcv.ops.nms(boxes.cuda(), scores.cuda(), 0.5)[1]
    assert on_gpu.is_cuda and on_gpu.tolist() == kept
    assert mmcv.ops.soft_nms(boxes.cuda(), scores.cuda())[1].is_cuda

    def compare(function, *inputs):
        results = []
        for device, kind in (('cpu', torch.float32), ('cuda', dtype)):
            leaves = [
                t.detach().to(device, kind).requires_grad_() for t in inputs
            ]
            out = function(*leaves)
            assert out.dtype == kind
            grads = torch.autograd.grad(out.float().sum(), leaves)
            results.append([t.float().cpu() for t in (out, *grads)])
        tolerance = 1e-3 if dtype == torch.float32 else 0.1
        for cpu, gpu in zip(*results, strict=True):
            scale = max(cpu.abs().max().item(), 1)
            assert (cpu - gpu).abs().max() < tolerance * scale

    x, offset, weight, mask = deform_inputs(*SHAPES[2])
    offset = (offset * 4).round() / 4 + 0.125  # far from whole cells
    compare(
        lambda *args: mmcv.ops.deform_conv2d(*args, *SHAPES[2]),
        x,
        offset,
        weight,
    )
    compare(
        lambda x, offset, mask, weight: mmcv.ops.modulated_deform_conv2d(
            x, offset, mask, weight, None, *SHAPES[2]
        ),
        x,
        offset,
        mask,
        weight,
    )
    rois = torch.tensor(ROIS)
    for mode in ('avg', 'max'):
        compare(
            lambda x, mode=mode: mmcv.ops.roi_align(
                x, rois.to(x), (2, 3), 0.5, 2, mode, True
            ),
            torch.rand(2, 3, 9, 10),
        )
    value, places, weights = attention_inputs()
    compare(
        lambda value, weights: attend(
            value, places.float().to(value.device), weights
        ),
        value,
        weights,
    )


# ---------------------------------------------------------------- the module


def test_every_operator_of_mmcv_is_answered():
    """Whatever mmcv.ops loads exists; the rest says what it lacks."""
    assert isinstance(sys.modules['mmcv._ext'], mmcv_ops.SuppliedOps)
    with pytest.raises(NotImplementedError) as error:
        mmcv.ops.roi_pool(torch.rand(1, 1, 4, 4), torch.rand(1, 5), 2)
    assert 'roi_pool_forward' in str(error.value)
    assert 'pip install' in str(error.value)
    with pytest.raises(AttributeError):
        sys.modules['mmcv._ext']._private  # noqa: B018


def test_mmengine_finds_the_module():
    from mmengine.model import revert_sync_batchnorm
    from mmengine.utils.dl_utils.misc import mmcv_full_available

    assert mmcv_full_available()
    model = torch.nn.Sequential(torch.nn.SyncBatchNorm(2))
    assert revert_sync_batchnorm(model)(torch.rand(2, 2, 3, 3)).shape


def test_environment_report():
    from mmcv.utils.env import collect_env

    report = collect_env()
    assert 'mmcv-lite' in report['MMCV Compiler']
    assert report['MMCV CUDA Compiler'] == 'not available'


def test_second_install_changes_nothing():
    before = sys.modules['mmcv._ext']
    mmcv_ops.repair(ops)
    assert sys.modules['mmcv._ext'] is before


def test_reloading_the_name_gives_the_same_operators():
    assert importlib.import_module('mmcv._ext').nms is ops.nms


def test_compiled_mmcv_is_left_alone(monkeypatch):
    compiled = ModuleType('mmcv._ext')
    compiled.__file__ = '/somewhere/_ext.so'
    monkeypatch.setitem(sys.modules, 'mmcv._ext', compiled)
    assert mmcv_ops.compiled_mmcv() == '/somewhere/_ext.so'
    assert mmcv_ops.missing() == ''
    assert sys.modules['mmcv._ext'] is compiled


def test_compiled_mmcv_is_found_without_importing_it(tmp_path):
    """A file mmcv/_ext.so in another place, in a fresh process."""
    package = tmp_path / 'mmcv'
    package.mkdir()
    (package / '__init__.py').write_text('raise SystemExit("imported")')
    (package / '_ext.py').write_text('')
    code = (
        'import sys; sys.path.insert(0, sys.argv[1]);'
        'sys.path.insert(0, sys.argv[2]); import importlib.util as u;'
        's = u.spec_from_file_location("shim", sys.argv[3]); '
        'm = u.module_from_spec(s);'
        's.loader.exec_module(m); print(m.compiled_mmcv(), [m.missing()])'
    )
    done = subprocess.run(
        [
            sys.executable,
            '-c',
            code,
            '.',
            str(tmp_path),
            mmcv_ops.__file__,
        ],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == f"{package / '_ext.py'} ['']", done.stderr
