"""The whole Group Pose: as estimator, fused, in ONNX."""

import numpy as np
import pytest
import torch
from support.group_pose_small import build_small, make_samples

from gtpt_mm.deploy import fuse


def test_estimator_maps_poses_to_the_image():
    model = build_small()
    [sample] = make_samples([(96, 128)], [1])
    sample.set_metainfo(
        dict(
            input_center=np.array([320.0, 240.0]),
            input_scale=np.array([640.0, 480.0]),
        )
    )
    images = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        [own] = model.head.predict(model.extract_feat(images), [sample])
        [result] = model(images, [sample], mode='predict')
        tensors = model(images, None, mode='tensor')
    pred = result.pred_instances
    np.testing.assert_allclose(pred.keypoints, own.keypoints * 5, rtol=1e-5)
    assert pred.keypoints_visible.shape == (6, 17)
    np.testing.assert_allclose(
        pred.bboxes[:, :2], pred.keypoints.min(axis=1), rtol=1e-5
    )
    assert tensors[0].shape == (1, 6, 2)


@pytest.mark.parametrize('fused', [False, True])
def test_estimator_in_half_precision_predicts(fused):
    """All modules are cast, also of an image that is padded."""
    model = build_small()
    if fused:
        model = fuse(model)
    model = model.to(torch.bfloat16)
    samples = make_samples(num_keypoints=17)
    for sample in samples:
        size = np.array(sample.metainfo['input_size'])
        sample.set_metainfo(dict(input_center=size / 2, input_scale=size))
    images = torch.randn(2, 3, 96, 128, dtype=torch.bfloat16)
    with torch.no_grad():
        results = model(images, samples, mode='predict')
    for result in results:
        poses = result.pred_instances
        assert poses.keypoints.shape == (6, 17, 2)
        assert np.isfinite(poses.keypoints).all()


def test_fused_model_predicts_the_same():
    model = build_small()
    images = torch.randn(1, 3, 96, 128)
    fast = fuse(model)
    with torch.no_grad():
        expected = model(images, None, mode='tensor')
        actual = fast(images, None, mode='tensor')
    for own, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-4)
    assert not any(
        isinstance(m, torch.nn.BatchNorm2d) for m in fast.backbone.modules()
    )


@pytest.mark.parametrize(
    'opset',
    [16, pytest.param(20, marks=pytest.mark.slow)],  # 17: as the page does
)
def test_onnx_runtime_predicts_the_same(opset, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    model = build_small()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = model(images, None, mode='tensor')
        model.forward = model._forward
        torch.onnx.export(
            model,
            (images,),
            str(tmp_path / 'model.onnx'),
            opset_version=opset,
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(str(tmp_path / 'model.onnx'))
    name = session.get_inputs()[0].name
    actual = session.run(None, {name: images.numpy()})
    for own, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)
