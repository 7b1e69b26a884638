"""Decoding in a graph equals the codecs' own, value by value."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmpose.codecs import MegviiHeatmap, MSRAHeatmap, SimCCLabel, UDPHeatmap
from mmpose.models.heads import CIDHead
from mmpose.registry import KEYPOINT_CODECS

from gtpt_mm.codecs import UnroundedSimCCLabel
from gtpt_mm.deploy.graph import find_input_size
from gtpt_mm.deploy.graph_codecs import make_decoder
from gtpt_mm.deploy.graph_heads import read_head
from gtpt_mm.deploy.runtimes import openvino_core

SIZES = dict(input_size=(48, 64), heatmap_size=(12, 16))
HEATMAPS = {
    'msra': MSRAHeatmap(**SIZES, sigma=2),
    'dark': MSRAHeatmap(**SIZES, sigma=2, unbiased=True),
    'udp': UDPHeatmap(**SIZES, sigma=2),
    'udp blurred little': UDPHeatmap(**SIZES, sigma=1, blur_kernel_size=3),
}
SIMCC = {
    'gaussian': SimCCLabel((48, 64), sigma=4.9),
    'standard': SimCCLabel((48, 64), 'standard', simcc_split_ratio=3.0),
    'unrounded': UnroundedSimCCLabel((48, 64)),
}


def draw_heatmaps() -> np.ndarray:
    """Return maps (B, K, H, W) with their maximum everywhere a map has one."""
    (w, h), random = SIZES['heatmap_size'], np.random.default_rng(0)
    y, x = np.mgrid[:h, :w]
    bumps = [
        np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 8)
        for cx in (0, 0.4, 1, 1.3, 2, 5.3, w - 3, w - 2.2, w - 1)
        for cy in (0, 1, 1.6, 2.2, 7.7, h - 3, h - 2, h - 1)
    ]
    noise = random.normal(0, 0.2, (len(bumps), h, w))
    plateaus = np.zeros((3, h, w))
    plateaus[0] = 0.7
    plateaus[1, 3:9, 4:8] = 0.5
    plateaus[2, :3, -3:] = 1.0
    negative = np.stack([b - 2 for b in bumps[10:12]] + [noise[0] - 3])
    faint = np.stack([b * 5e-4 for b in bumps[20:22]])
    maps = [*bumps, *(bumps + noise), *noise, *plateaus, *negative, *faint]
    maps += [bumps[4]] * (-len(maps) % 4)
    return np.stack(maps).reshape(-1, 4, h, w).astype(np.float32)


def draw_bins(codec) -> tuple[np.ndarray, np.ndarray]:
    """Return bins of both axes, (B, K, W), with ties and without a sign."""
    random = np.random.default_rng(0)
    axes = []
    for length in codec.input_size:
        num = round(length * codec.simcc_split_ratio)
        bins = random.normal(0, 1, (5, 4, num))
        bins[1] = bins[1].round()  # ties
        bins[2] -= 9
        bins[3, :2] = 0
        bins[4, 0, 0], bins[4, 1, -1] = 9, 9
        axes.append(bins.astype(np.float32))
    return axes[0], axes[1]


@pytest.mark.parametrize('name', HEATMAPS)
def test_heatmaps(name):
    codec, heatmaps = HEATMAPS[name], draw_heatmaps()
    decoder = make_decoder(codec)
    found = [x.numpy() for x in decoder(torch.from_numpy(heatmaps))]
    expected = [codec.decode(maps) for maps in heatmaps]
    points = np.concatenate([points for points, _ in expected])
    scores = np.concatenate([scores for _, scores in expected])
    np.testing.assert_array_equal(found[1], scores)
    # Of noise a Newton step may leave the map: relative.
    np.testing.assert_allclose(found[0], points, rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize('name', SIMCC)
def test_simcc(name):
    codec = SIMCC[name]
    x, y = draw_bins(codec)
    decoder = make_decoder(codec)
    points, scores = decoder(torch.from_numpy(x), torch.from_numpy(y))
    expected = codec.decode(x.copy(), y.copy())
    np.testing.assert_allclose(points, expected[0], rtol=1e-6)
    np.testing.assert_allclose(scores, expected[1], rtol=1e-6)


def test_runtimes_choose_the_same_of_equal_maxima(tmp_path):
    """A plateau is decoded by its first pixel, in each runtime."""
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('openvino')
    pytest.importorskip('onnxscript')
    heatmaps = draw_heatmaps()
    file = tmp_path / 'decoder.onnx'
    decoder = make_decoder(HEATMAPS['udp']).eval()
    torch.onnx.export(
        decoder,
        (torch.from_numpy(heatmaps[:2]),),
        str(file),
        input_names=['heatmaps'],
        dynamic_shapes=({0: torch.export.Dim('batch')},),
        dynamo=True,
        verbose=False,
    )
    expected = decoder(torch.from_numpy(heatmaps))
    session = onnxruntime.InferenceSession(str(file))
    hint = {'INFERENCE_PRECISION_HINT': 'f32'}
    compiled = openvino_core().compile_model(str(file), 'CPU', hint)
    found = compiled([heatmaps])
    for outputs in (
        session.run(None, {'heatmaps': heatmaps}),
        [found[0], found[1]],
    ):
        for own, other in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(own, other, rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize(
    ('codec', 'words'),
    [
        (MegviiHeatmap(**SIZES, kernel_size=11), 'MegviiHeatmap'),
        (
            UDPHeatmap(**SIZES, heatmap_type='combined'),
            "UDPHeatmap with heatmap_type='combined'",
        ),
        (SimCCLabel((48, 64), use_dark=True), 'SimCCLabel with use_dark'),
        (
            SimCCLabel((48, 64), decode_visibility=True),
            'SimCCLabel with decode_visibility',
        ),
        (type('OtherLabel', (SimCCLabel,), {})((48, 64)), 'OtherLabel'),
    ],
)
def test_other_codecs_are_refused_by_name(codec, words):
    with pytest.raises(ValueError, match=f'{words}.*without decode'):
        make_decoder(codec)


def test_a_head_whose_outputs_depend_on_the_image_is_refused():
    head = object.__new__(CIDHead)
    with pytest.raises(ValueError, match='CID cannot be exported'):
        read_head(SimpleNamespace(head=head), False, False)


@pytest.mark.parametrize(
    'codec',
    [
        dict(type='MSRAHeatmap', heatmap_size=(24, 32), sigma=2),
        dict(type='IntegralRegressionLabel', heatmap_size=(24, 32), sigma=2),
        dict(
            type='Hand3DHeatmap',
            heatmap_size=(24, 32, 8),
            root_heatmap_size=8,
            depth_size=8,
        ),
    ],
    ids=lambda codec: codec['type'],
)
def test_the_input_size_of_every_codec_is_found(codec):
    key = 'image_size' if codec['type'] == 'Hand3DHeatmap' else 'input_size'
    decoder = KEYPOINT_CODECS.build({**codec, key: (96, 128)})
    model = SimpleNamespace(head=SimpleNamespace(decoder=decoder))
    assert find_input_size(model) == (96, 128)
    # As VisPredictHead has it.
    outer = SimpleNamespace(head=SimpleNamespace(pose_head=model.head))
    assert find_input_size(outer) == (96, 128)
    assert find_input_size(SimpleNamespace(head=SimpleNamespace())) is None
