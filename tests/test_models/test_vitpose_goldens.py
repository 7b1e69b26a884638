"""ViTPose against outputs recorded from the authors' code."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.codecs import MSRAHeatmap, UDPHeatmap
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.structures.bbox import get_udp_warp_matrix
from support.parity import note
from support.vitpose_plus import FROZEN_PARTS

from gtpt_mm.convert import convert_vitpose
from gtpt_mm.engine.hooks.freeze import freeze
from gtpt_mm.models import ViTPose

FILES = [
    f'vit_{kind}_s{seed}'
    for kind in ('classic', 'simple')
    for seed in (13, 14)
]
SIMPLE = dict(
    deconv_out_channels=(),
    deconv_kernel_sizes=(),
    final_layer=dict(kernel_size=3, padding=1),
)


def build(golden: dict) -> torch.nn.Module:
    """Build the model that a golden file was recorded from, and load it."""
    cfg = golden['config']
    height, width = cfg['img']
    model = dict(
        type='TopdownPoseEstimator',
        backbone=dict(
            type='ViTPose',
            arch=dict(
                embed_dims=cfg['dim'],
                depth=cfg['depth'],
                num_heads=cfg['heads'],
            ),
            img_size=(height, width),
        ),
        head=dict(
            type='HeatmapHead',
            in_channels=cfg['dim'],
            out_channels=17,
            deconv_out_channels=cfg['filt'],
            deconv_kernel_sizes=(4, 4),
            decoder=dict(
                type='UDPHeatmap',
                input_size=(width, height),
                heatmap_size=(width // 4, height // 4),
                sigma=2,
            ),
        ),
        test_cfg=dict(flip_test=True, output_heatmaps=True),
    )
    if golden['kind'] == 'simple':
        model['neck'] = dict(
            type='FeatureMapProcessor', scale_factor=4.0, apply_relu=True
        )
        model['head'].update(SIMPLE)
    model = MODELS.build(model)
    state_dict, left_out = convert_vitpose(golden['state_dict'])
    assert not left_out
    model.load_state_dict(state_dict, strict=True)
    return model


@pytest.fixture(params=FILES)
def golden(request, read_vitpose_golden):
    return read_vitpose_golden(f'{request.param}.pt')


def make_samples(golden: dict, weight: torch.Tensor) -> list[PoseDataSample]:
    swap = dict(golden['flip_pairs'])
    swap |= {b: a for a, b in golden['flip_pairs']}
    height, width = golden['config']['img']
    samples = []
    for target, w, meta in zip(
        golden['target'], weight, golden['metas'], strict=True
    ):
        sample = PoseDataSample(
            metainfo=dict(
                flip_indices=[swap.get(i, i) for i in range(17)],
                input_size=(width, height),
                input_center=np.array(meta['center']),
                input_scale=200 * np.array(meta['scale']),
            )
        )
        sample.gt_fields = PixelData(heatmaps=target)
        sample.gt_instance_labels = InstanceData(keypoint_weights=w.T)
        sample.gt_instances = InstanceData(bboxes=np.zeros((1, 4)))
        sample.gt_instances.bbox_scores = np.ones(1)
        samples.append(sample)
    return samples


def assert_near(actual, expected, atol=2e-5) -> None:
    note('ViTPose', 'outputs', actual, expected)
    torch.testing.assert_close(actual.detach(), expected, atol=atol, rtol=1e-5)


def test_eval_matches_authors(golden):
    model = build(golden).eval()
    with torch.no_grad():
        assert_near(model.backbone(golden['img'])[0], golden['feat_eval'])
        heatmap = model.head(model.extract_feat(golden['img']))
    assert_near(heatmap, golden['heatmap_eval'])


def test_flip_test_matches_authors(golden):
    model = build(golden).eval()
    samples = make_samples(golden, golden['target_weight'])
    with torch.no_grad():
        results = model.predict(golden['img'], samples)
    num_good = 0
    for i, result in enumerate(results):
        expected = golden['test_flip_heatmap'][i]
        assert_near(result.pred_fields.heatmaps, expected)
        pose = golden['test_flip_preds'][i].numpy()
        own = result.pred_instances
        good = find_clear_peaks(expected.numpy())
        num_good += good.sum()
        points = own.keypoints[0][good]
        note('ViTPose', 'decoding', points, pose[good, :2], 1)
        np.testing.assert_allclose(points, pose[good, :2], atol=2e-3)
        np.testing.assert_allclose(
            own.keypoint_scores[0], pose[:, 2], atol=2e-5
        )
    if golden['config']['img'] == (256, 192):  # else all is border
        assert num_good >= 4


def find_clear_peaks(heatmaps: np.ndarray) -> np.ndarray:
    """Tell which maps mmpose and the authors must decode alike.

    Both blur, take the logarithm of at least 1e-3, and fit a parabola. They
    blur differently near the border, and mmpose scales before it clips.

    Args:
        heatmaps: Maps of keypoints, (K, h, w).

    Returns:
        Booleans, (K,): the peak is 6 or more pixels from the border, and
        nothing around it is clipped.
    """
    _, h, w = heatmaps.shape
    y, x = np.divmod(heatmaps.reshape(len(heatmaps), -1).argmax(1), w)
    good = (x >= 6) & (x < w - 6) & (y >= 6) & (y < h - 6)
    for k in np.flatnonzero(good):
        blurred = cv2.GaussianBlur(heatmaps[k], (11, 11), 0)
        near = blurred[y[k] - 2 : y[k] + 3, x[k] - 2 : x[k] + 3]
        good[k] = near.min() > 1e-2
    return good


def test_training_matches_authors(golden):
    """Loss, every gradient, statistics of the norms."""
    model = build(golden).train()
    losses = model.loss(
        golden['img'], make_samples(golden, golden['target_weight'])
    )
    loss = losses['loss_kpt']
    note('ViTPose', 'losses', loss, golden['loss'])
    assert loss.item() == pytest.approx(golden['loss'], rel=1e-5)
    loss.backward()
    grads = dict(golden['grads'])
    # The row that the authors add to every token is part of each of ours.
    table = grads.pop('backbone.pos_embed')
    torch.testing.assert_close(
        table[:, 1:].sum(1), table[:, 0], atol=1e-4, rtol=1e-5
    )
    ours = {name: p.grad for name, p in model.named_parameters()}
    own = ours.pop('backbone.pos_embed')
    note('ViTPose', 'gradients', own, table[:, 1:])
    torch.testing.assert_close(own, table[:, 1:], atol=2e-5, rtol=1e-5)
    expected = convert_vitpose(
        golden['state_dict'] | grads
    ).state_dict  # gradients under our names
    largest = max(grad.norm() for grad in ours.values())
    for name, grad in ours.items():
        error = (grad - expected[name]).norm()
        scale = max(grad.norm(), 1e-2 * largest)
        note('ViTPose', 'gradients', error, 0, scale)
        assert error <= 1e-4 * scale, name
    state = model.state_dict()
    for name, value in golden['state_dict_after_train_forward'].items():
        name = name.replace('keypoint_head.', 'head.')
        torch.testing.assert_close(state[name], value, atol=1e-6, rtol=1e-5)


def test_weights_between_zero_and_one_are_squared_by_the_authors(golden):
    """mean((w p - w t)^2) of theirs is mean(w (p - t)^2) of ours at w^2."""
    weight = golden['target_weight_real']
    expected = golden['loss_real_weight']
    losses = {}
    for power in (1, 2):
        model = build(golden).train()
        samples = make_samples(golden, weight**power)
        losses[power] = model.loss(golden['img'], samples)['loss_kpt'].item()
    note('ViTPose', 'losses', losses[2], expected)
    assert losses[2] == pytest.approx(expected, rel=1e-5)
    assert losses[1] > 1.05 * expected


def test_ratio_two_matches_authors(read_vitpose_golden):
    """Overlapping patches, features of 1/8."""
    golden = read_vitpose_golden('vit_ratio2_s13.pt')
    cfg = golden['config']
    arch = dict(
        embed_dims=cfg['dim'], depth=cfg['depth'], num_heads=cfg['heads']
    )
    model = ViTPose(arch, cfg['img'], patch_stride=8).eval()
    assert model.patch_embed.proj.padding == tuple(golden['patch_padding'])
    assert model.grid_size == tuple(golden['patch_shape'])
    official = {f'backbone.{k}': v for k, v in golden['state_dict'].items()}
    head = {
        f'keypoint_head.final_layer.{leaf}': torch.zeros(1)
        for leaf in ('weight', 'bias')
    }
    state = convert_vitpose(official | head).state_dict
    model.load_state_dict(
        {
            key.removeprefix('backbone.'): value
            for key, value in state.items()
            if key.startswith('backbone.')
        },
        strict=True,
    )
    with torch.no_grad():
        assert_near(model(golden['img'])[0], golden['feat_eval'])


def frozen_names(names: list[str]) -> set[str]:
    return {name.replace('blocks.', 'layers.') for name in names}


@pytest.mark.parametrize(('key', 'frozen'), FROZEN_PARTS.items(), ids=str)
def test_frozen_parts_match_authors(key, frozen, read_vitpose_golden):
    lists = read_vitpose_golden('param_groups_and_freezing.json')
    expected = frozen_names(lists[f'vit_{key}'])
    num_frozen = sum('layers.' in name for name in frozen)
    if num_frozen > 0:
        # The authors freeze blocks 1 to n and train block 0; we freeze the
        # first n. All else is equal.
        def move(name: str) -> str:
            if not name.startswith('layers.'):
                return name
            _, number, rest = name.split('.', 2)
            number = int(number)
            if number <= num_frozen:
                number = (number - 1) % (num_frozen + 1)
            return f'layers.{number}.{rest}'

        expected = {move(name) for name in expected}
    arch = dict(embed_dims=48, depth=3, num_heads=4)
    model = ViTPose(arch, (64, 48))
    freeze(model, frozen)
    trainable = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trainable == expected


@pytest.mark.parametrize(
    ('depth', 'rate'), [(12, 0.1), (12, 0.3), (24, 0.5), (32, 0.55)]
)
def test_drop_path_rates_match_authors(depth, rate, read_vitpose_golden):
    lists = read_vitpose_golden('param_groups_and_freezing.json')
    arch = dict(embed_dims=8, depth=depth, num_heads=1)
    model = ViTPose(arch, (32, 32), drop_path_rate=rate)
    rates = [layer.drop_path.drop_prob for layer in model.layers]
    np.testing.assert_allclose(rates, lists[f'drop_path_{depth}_{rate}'], 1e-6)


SIZES = dict(input_size=(192, 256), heatmap_size=(48, 64), sigma=2)


@pytest.mark.parametrize('name', ['UDP', 'MSRA'])
def test_targets_match_authors(name, read_vitpose_golden):
    golden = read_vitpose_golden('udp_codec.npz')
    codec = UDPHeatmap(**SIZES) if name == 'UDP' else MSRAHeatmap(**SIZES)
    for joints, visible, target, weight in zip(
        golden['joints'],
        golden['visible'],
        golden[f'target_{name}'],
        golden[f'weight_{name}'][..., 0],
        strict=True,
    ):
        labels = codec.encode(joints[None].astype(float), visible[None])
        np.testing.assert_array_equal(labels['keypoint_weights'][0], weight)
        np.testing.assert_allclose(labels['heatmaps'], target, atol=2e-6)


def test_udp_decoding_matches_authors(read_vitpose_golden):
    golden = read_vitpose_golden('udp_codec.npz')
    num_good = 0
    for maps, center, scale, keypoints, scores in zip(
        golden['heatmaps'],
        golden['center'],
        golden['scale'] * 200,  # the authors' unit
        golden['decode_udp1'],
        golden['decode_score_udp1'][..., 0],
        strict=True,
    ):
        decoded, own_scores = UDPHeatmap(**SIZES).decode(maps.copy())
        # As TopdownPoseEstimator brings them back to the image.
        decoded = decoded / SIZES['input_size'] * scale + center - scale / 2
        good = find_clear_peaks(maps)
        num_good += good.sum()
        note('ViTPose', 'decoding', decoded[0][good], keypoints[good], 1)
        np.testing.assert_allclose(
            decoded[0][good], keypoints[good], atol=1e-3
        )
        np.testing.assert_array_equal(own_scores[0], scores)
    assert num_good >= 10


def test_udp_crop_matches_authors(read_vitpose_golden):
    golden = read_vitpose_golden('udp_codec.npz')
    for center, scale, rotation, points, expected in zip(
        golden['center'],
        golden['scale'] * 200,
        golden['rotation'],
        golden['points'],
        golden['points_warp_udp'],
        strict=True,
    ):
        matrix = get_udp_warp_matrix(center, scale, rotation, (192, 256))
        own = cv2.transform(points[None], matrix)[0]
        np.testing.assert_allclose(own, expected, atol=1e-3)
