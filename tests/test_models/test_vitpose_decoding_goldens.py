"""From crop to pose against the authors' code, for both kinds of codec.

Of the six datasets of ViTPose++ only COCO and MPII are unbiased (UDP), in the
crop, the target and the decoding. Codecs, crops and test options are those of
the config; only the network in between gives way to recorded heatmaps.
"""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.registry import MODELS, TRANSFORMS
from mmpose.structures import PoseDataSample
from support.parity import note

NAME = 'td-hm_vitpose-plus-s_8xb128-210e_six-datasets-256x192.py'
UNBIASED = ('coco', 'mpii')
BIASED = ('aic', 'ap10k', 'apt36k', 'wholebody')


@pytest.fixture(scope='module')
def cfg(repo_root):
    folder = repo_root / 'configs/multi_dataset/vitpose_plus/six_datasets'
    cfg = Config.fromfile(folder / NAME)
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.fixture
def golden(read_vitpose_golden):
    return read_vitpose_golden('udp_codec.npz')


@pytest.fixture
def predict(cfg, golden):
    """Return a function: recorded maps to poses, by a dataset's own way."""

    def run(name: str, flip_test: bool) -> list[PoseDataSample]:
        model = cfg.model.copy()
        model.backbone.update(
            arch=dict(embed_dims=16, depth=1, num_heads=1),
            experts=dict(num_experts=6, part_features=4),
        )
        model.head.shared.update(in_channels=16, deconv_out_channels=(4, 4))
        model.test_cfg.update(flip_test=flip_test, output_heatmaps=True)
        model = MODELS.build(model).eval()
        maps = torch.from_numpy(golden['heatmaps'])
        # With a flip test the network answers twice.
        model.head.heads[name].forward = lambda feats: maps.clone()
        samples = make_samples(golden, model.head.names.index(name))
        with torch.no_grad():
            return model.predict(torch.zeros(len(maps), 3, 256, 192), samples)

    return run


def make_samples(golden: dict, dataset_idx: int) -> list[PoseDataSample]:
    left_right = [i + 1 if i % 2 else i - 1 for i in range(17)]
    samples = []
    for center, scale in zip(golden['center'], golden['scale'], strict=True):
        sample = PoseDataSample(
            metainfo=dict(
                dataset_idx=dataset_idx,
                flip_indices=[0, *left_right[1:]],
                input_size=(192, 256),
                input_center=center,
                input_scale=200 * scale,  # the authors' unit
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1)
        )
        samples.append(sample)
    return samples


def find_inner_peaks(heatmaps: np.ndarray) -> np.ndarray:
    """Tell which maps, (K, h, w), have their peak away from the border."""
    _, h, w = heatmaps.shape
    y, x = np.divmod(heatmaps.reshape(len(heatmaps), -1).argmax(1), w)
    return (x > 1) & (x < w - 2) & (y > 1) & (y < h - 2)


@pytest.mark.parametrize('name', BIASED)
def test_poses_are_those_of_the_authors(name, golden, predict):
    """Without UDP; the unbiased decoding would be way off.

    That one is compared in ``test_vitpose_goldens.py``.
    """
    results = predict(name, flip_test=False)
    num_good, apart = 0, []
    for i, result in enumerate(results):
        own = result.pred_instances
        good = find_inner_peaks(golden['heatmaps'][i])
        num_good += good.sum()
        points, expected = own.keypoints[0], golden['decode_udp0'][i]
        note('ViTPose++', 'decoding', points[good], expected[good], 1)
        np.testing.assert_allclose(points[good], expected[good], atol=1e-3)
        np.testing.assert_array_equal(
            own.keypoint_scores[0], golden['decode_score_udp0'][i][:, 0]
        )
        error = own.keypoints[0] - golden['decode_udp1'][i]
        apart.append(np.abs(error[good]).mean())
    assert num_good >= 70
    assert min(apart) > 0.5  # pixels of the image


@pytest.mark.parametrize('name', [*UNBIASED, *BIASED])
def test_flip_test_is_that_of_the_authors(name, golden, predict):
    """The mirrored maps; without UDP they are moved by a pixel."""
    mirrored = golden['flip_back'].copy()
    if name in BIASED:
        mirrored[..., 1:] = golden['flip_back'][..., :-1]
    expected = (golden['heatmaps'] + mirrored) / 2
    for result, maps in zip(
        predict(name, flip_test=True), expected, strict=True
    ):
        np.testing.assert_allclose(
            result.pred_fields.heatmaps, maps, atol=1e-6
        )


@pytest.mark.parametrize('loader', ['train_dataloader', 'val_dataloader'])
def test_crops_are_those_of_the_authors(loader, cfg, golden):
    """Every dataset's own step, on recorded boxes with rotation."""
    for name, dataset in cfg[loader].dataset.datasets.items():
        [step] = [s for s in dataset.pipeline if s.type == 'TopdownAffine']
        step = TRANSFORMS.build(step)
        warp = 'warp_udp' if name in UNBIASED else 'warp_affine'
        for center, scale, rotation, points, matrix in zip(
            golden['center'],
            golden['scale'] * 200,
            golden['rotation'],
            golden['points'],
            golden[warp],
            strict=True,
        ):
            done = step(
                dict(
                    img=np.zeros((8, 8, 3), np.uint8),
                    bbox_center=center[None],
                    bbox_scale=scale[None],
                    bbox_rotation=rotation[None],
                    keypoints=points[None],
                )
            )
            np.testing.assert_allclose(
                done['transformed_keypoints'],
                cv2.transform(points[None], matrix),
                atol=1e-3,
            )
