"""Poses that Group Pose predicts: padding, selection, numbers as recorded."""

import zlib
from pathlib import Path

import numpy as np
import torch
from support.group_pose_small import (
    SHAPES,
    build_head,
    make_feats,
    make_samples,
)


def test_one_image_alone_is_that_image_in_a_batch():
    head = build_head().eval()
    feats, samples = make_feats(), make_samples()
    with torch.no_grad():
        together = head.predict(feats, samples)
        for i, sample in enumerate(samples):
            maps = tuple(feat[i : i + 1] for feat in feats)
            [alone] = head.predict(maps, [sample])
            np.testing.assert_allclose(
                alone.keypoints, together[i].keypoints, atol=1e-3
            )


def test_padding_does_not_matter():
    """Whatever lies in the padding, and however much of it there is."""
    head = build_head().eval()
    feats = make_feats()
    sizes = ((96, 128), (96, 64))
    samples = make_samples(sizes)
    with torch.no_grad():
        expected = head.predict(feats, samples)[1]
        for feat in feats:
            feat[1, :, :, feat.shape[3] // 2 :] = 7
        actual = head.predict(feats, samples)[1]
    np.testing.assert_allclose(actual.keypoints, expected.keypoints, atol=1e-4)


def test_padded_maps_are_those_without_padding():
    """But for the positions of the queries, which tell the padding.

    The authors scale them by the part of the image that is not padding.
    """
    head = build_head().eval()
    last = head.decoder.pos_mlp.layers[-1]
    torch.nn.init.zeros_(last.weight), torch.nn.init.zeros_(last.bias)
    alone = tuple(feat[:1] for feat in make_feats())
    padded = tuple(
        torch.nn.functional.pad(feat, (0, feat.shape[3], 0, feat.shape[2]))
        for feat in alone
    )
    [sample] = make_samples([(96, 128)], [1])
    with torch.no_grad():
        [expected] = head.predict(alone, [sample])
        sample.set_metainfo(dict(batch_input_shape=(192, 256)))
        [actual] = head.predict(padded, [sample])
    for field in ('keypoints', 'bbox_scores'):
        np.testing.assert_allclose(
            actual[field], expected[field], rtol=1e-4, atol=1e-4
        )


def test_without_samples_nothing_is_padded():
    head = build_head().eval()
    sizes = ((96, 128), (96, 128))
    with torch.no_grad():
        expected = head(make_feats(), make_samples(sizes))
        actual = head(make_feats())
    assert torch.equal(actual[1], expected[1])


def test_prediction_is_sorted_selected_and_suppressed():
    head = build_head().eval()
    samples = make_samples()
    with torch.no_grad():
        [every, _] = head.predict(make_feats(), samples)
        [few, _] = head.predict(make_feats(), samples, dict(num_select=2))
        thr = float(every.bbox_scores[2])
        [good, _] = head.predict(make_feats(), samples, dict(score_thr=thr))
        [kept, _] = head.predict(make_feats(), samples, dict(nms_thr=0.0))
    assert (np.diff(every.bbox_scores) <= 0).all()
    assert len(every) == 6 and len(few) == 2 and len(good) == 2
    assert every.bboxes.shape == (6, 4)
    assert every.keypoint_scores.shape == (6, 5)
    for i, box in enumerate(kept.bboxes):
        others = np.delete(kept.bboxes, i, axis=0)
        overlap = np.minimum(box[2:], others[:, 2:]) - np.maximum(
            box[:2], others[:, :2]
        )
        assert (overlap.clip(0).prod(1) == 0).all()


def test_equal_scores_keep_the_order_of_the_queries(monkeypatch):
    """Each query once, also among more than 16, where topk would mix."""
    head = build_head()
    logits = torch.zeros(1, 40, 2)
    logits[0, 30, 1] = 1
    x = torch.arange(40) / 40
    keypoints = x[None, :, None, None].expand(1, 40, 5, 2)
    monkeypatch.setattr(head, 'forward', lambda *_: (logits, keypoints))
    [sample] = make_samples([(40, 40)], [1])
    for num_select, expected in (
        (40, [30, *range(30), *range(31, 40)]),
        (5, [30, 0, 1, 2, 3]),
    ):
        [pred] = head.predict(None, [sample], dict(num_select=num_select))
        order = pred.keypoints[:, 0, 0].round().astype(int)
        assert order.tolist() == expected


def test_prediction_runs_only_the_heads_that_it_needs():
    """One score, one move a layer, first poses of the selected tokens only.

    The loss also scores the other layers, and moves from what they alias.
    """
    head = build_head(decoder=dict(num_layers=3))
    counts = {}

    def count(name):
        def hook(module, inputs, output):
            counts[name] = counts.get(name, 0) + 1
            if name == 'proposer':
                assert inputs[0].shape == (2, 6, 32)  # of 256 tokens

        return hook

    for kind in ('fc_cls', 'pose_mlps'):
        for i, module in enumerate(getattr(head.decoder, kind)):
            module.register_forward_hook(count(f'{kind}.{i}'))
    head.proposer.mlp.register_forward_hook(count('proposer'))
    with torch.no_grad():
        head.eval().predict(make_feats(), make_samples())
    moves = {f'pose_mlps.{i}': 1 for i in range(3)}
    assert counts == {'proposer': 1, **moves, 'fc_cls.2': 1}
    counts.clear()
    head.train().loss(make_feats(), make_samples())
    assert [counts[f'fc_cls.{i}'] for i in range(3)] == [1, 1, 1]
    assert [counts[f'pose_mlps.{i}'] for i in range(3)] == [2, 2, 1]


def test_nobody_is_left_to_suppress():
    head = build_head().eval()
    test_cfg = dict(score_thr=1.0, nms_thr=0.5)
    with torch.no_grad():
        [pred, _] = head.predict(make_feats(), make_samples(), test_cfg)
    assert pred.keypoints.shape == (0, 5, 2)
    assert pred.bboxes.shape == (0, 4)


#: Recorded after the goldens agreed.
RECORDED = Path(__file__).resolve().parents[1] / 'data/group_pose_small.npz'


def fill_by_name(module: torch.nn.Module) -> None:
    """Give every parameter values that only its name and shape decide."""
    for name, parameter in module.named_parameters():
        numbers = np.random.RandomState(zlib.crc32(name.encode()))
        values = numbers.standard_normal(tuple(parameter.shape)) * 0.3
        if 'norm' in name and name.endswith('weight'):
            values += 1
        parameter.data.copy_(torch.from_numpy(values))


def test_small_model_as_recorded():
    """Guards the numbers where the authors' recordings are not at hand."""
    head = build_head().eval()
    fill_by_name(head)
    numbers = np.random.RandomState(0)
    feats = tuple(
        torch.from_numpy(numbers.standard_normal((2, 32, h, w))).float()
        for h, w in SHAPES
    )
    with torch.no_grad():
        logits, keypoints = head(feats, make_samples())
        losses = head.loss(feats, make_samples())
    actual = dict(
        logits=logits.numpy(),
        keypoints=keypoints.numpy(),
        losses=np.array([losses[name].item() for name in sorted(losses)]),
    )
    with np.load(RECORDED) as recorded:
        for name, values in actual.items():
            np.testing.assert_allclose(
                values, recorded[name], atol=1e-4, rtol=1e-4
            )
