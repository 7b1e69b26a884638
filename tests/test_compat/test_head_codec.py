"""A head that decodes otherwise than its data were encoded."""

import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.codecs import UDPHeatmap
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import MultilevelPixelData, PoseDataSample

from gtpt_mm.compat.inference import head_codec

SIZES = dict(input_size=(64, 96), heatmap_size=(16, 24))


def make_model(**sizes):
    decoder = dict(type='UDPHeatmap', **{**SIZES, **sizes})
    head = dict(
        type='HeatmapHead',
        in_channels=64,
        out_channels=2,
        deconv_out_channels=None,
        loss=dict(type='KeypointMSELoss'),
        decoder=decoder,
    )
    backbone = dict(type='AlexNet')
    model = MODELS.build(
        dict(type='TopdownPoseEstimator', backbone=backbone, head=head)
    )
    # One stride-4 layer stands for a network.
    model.backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 4, 4), Tuple())
    return model


class Tuple(torch.nn.Module):
    def forward(self, x):
        return (x,)


def make_sample():
    codec = UDPHeatmap(**SIZES)
    encoded = codec.encode(torch.tensor([[[20.0, 30], [40, 50]]]).numpy())
    sample = PoseDataSample(
        metainfo=dict(
            input_size=SIZES['input_size'],
            input_center=torch.tensor([32.0, 48]).numpy(),
            input_scale=torch.tensor([64.0, 96]).numpy(),
            flip_indices=[0, 1],
        )
    )
    sample.gt_fields = PixelData(heatmaps=torch.tensor(encoded['heatmaps']))
    sample.gt_instance_labels = InstanceData(
        keypoint_weights=torch.tensor(encoded['keypoint_weights'])
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[0.0, 0, 64, 96]]).numpy(),
        bbox_scores=torch.ones(1).numpy(),
    )
    return sample


@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_equal_codecs_pass(mode):
    model = make_model().eval()
    result = model(torch.rand(1, 3, 96, 64), [make_sample()], mode=mode)
    if mode == 'loss':
        assert result['loss_kpt'].isfinite()
    else:
        assert result[0].pred_instances.keypoints.shape == (1, 2, 2)


def test_heatmaps_of_several_codecs_are_compared_with_the_last():
    """MSPN and RSN encode with a list of codecs and decode with its last."""
    sample = make_sample()
    maps = sample.gt_fields.heatmaps
    codec = UDPHeatmap(**SIZES)
    for levels in ([maps, maps], [maps[:, ::2, ::2], maps]):
        sample.gt_fields = MultilevelPixelData(heatmaps=levels)
        head_codec.compare(codec, [sample])
    sample.gt_fields = MultilevelPixelData(heatmaps=levels[::-1])
    with pytest.raises(ValueError, match=r'is \(16, 24\), .* made \(8, 12\)'):
        head_codec.compare(codec, [sample])


@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_another_input_size_is_an_error(mode):
    model = make_model(input_size=(128, 192)).eval()
    message = r'input_size \(w, h\) of head.decoder is \(128, 192\), the .*64'
    with pytest.raises(ValueError, match=message):
        model(torch.rand(1, 3, 96, 64), [make_sample()], mode=mode)


def test_another_heatmap_size_is_an_error_in_training():
    model = make_model(heatmap_size=(48, 64))
    message = r'heatmap_size .* is \(48, 64\), the pipeline made \(16, 24\)'
    with pytest.raises(ValueError, match=message):
        model(torch.rand(1, 3, 96, 64), [make_sample()], mode='loss')


def test_what_cannot_be_compared_passes():
    sample = make_sample()
    head_codec.compare(None, [sample])
    head_codec.compare(UDPHeatmap(**SIZES), None)
    head_codec.compare(object(), [sample])
    head_codec.compare(UDPHeatmap(**SIZES), [PoseDataSample()])


def test_heatmaps_in_three_dimensions():
    """Hand3DHeatmap has (w, h, d) and packs K * d maps of (h, w)."""
    codec = KEYPOINT_CODECS.build(
        dict(
            type='Hand3DHeatmap',
            image_size=[64, 96],
            heatmap_size=[16, 24, 8],
            root_heatmap_size=8,
            depth_size=8,
        )
    )
    sample = PoseDataSample()
    sample.gt_fields = PixelData(heatmaps=torch.zeros(2 * 8, 24, 16))
    head_codec.compare(codec, [sample])
    sample.gt_fields = PixelData(heatmaps=torch.zeros(2 * 8, 16, 16))
    with pytest.raises(ValueError, match='heatmap_size'):
        head_codec.compare(codec, [sample])
