"""What the authors' Group Pose computed, and our model of its weights."""

import json

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmpose.models.necks import ChannelMapper
from mmpose.structures import PoseDataSample
from support.parity import note
from torch import nn
from torchvision.ops import box_convert

from gtpt_mm.convert import convert_group_pose
from gtpt_mm.models import GroupPoseHead

CASES = (
    'k17_h64_padded',
    'k17_h64_nopad_b1',
    'k17_h64_emptyimg',
    'k14_h64_padded',
    'k17_h256_padded',
)
METAINFO = {
    num: f'configs/_base_/datasets/{name}.py'
    for num, name in {17: 'coco', 14: 'crowdpose'}.items()
}


class Case:
    """A recorded run of the authors' model on given maps."""

    def __init__(self, folder, name: str) -> None:
        with np.load(folder / f'{name}.npz') as arrays:
            self.arrays = dict(arrays)
        self.meta = json.loads(str(self.arrays['meta']))
        with np.load(folder / f'{self.meta["weights"]}.npz') as arrays:
            self.weights = {
                key: torch.from_numpy(arrays[key]).float() for key in arrays
            }
        self.feats = [self[f'in/feat{i}'].float() for i in range(3)]

    def __getitem__(self, key: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[key])

    def build(self, **options) -> nn.ModuleDict:
        meta = self.meta
        layers = dict(feedforward_dims=meta['dim_feedforward'])
        model = nn.ModuleDict(
            dict(
                neck=ChannelMapper(
                    meta['backbone_channels'],
                    meta['hidden_dim'],
                    kernel_size=1,
                    norm_cfg=dict(type='GN', num_groups=32),
                    act_cfg=None,
                    num_outs=4,
                    bias=True,
                ),
                head=GroupPoseHead(
                    METAINFO[meta['num_keypoints']],
                    embed_dims=meta['hidden_dim'],
                    num_queries=meta['num_queries'],
                    encoder=dict(num_layers=meta['enc_layers'], **layers),
                    decoder=dict(num_layers=meta['dec_layers'], **layers),
                    **options,
                ),
            )
        )
        converted = convert_group_pose(self.weights)
        model.load_state_dict(converted, strict=True)
        return model.eval()

    def make_samples(self) -> list[PoseDataSample]:
        num = self.meta['num_keypoints']
        samples = []
        for i, (h, w) in enumerate(self.arrays['in/img_shapes'].tolist()):
            sample = PoseDataSample(
                metainfo=dict(
                    img_shape=(h, w),
                    input_size=(w, h),
                    batch_input_shape=tuple(self.arrays['in/batch_shape']),
                )
            )
            flat = self[f'tgt/{i}/keypoints']
            sample.gt_instance_labels = InstanceData(
                keypoints=flat[:, : 2 * num].unflatten(1, (num, 2)),
                keypoints_visible=flat[:, 2 * num :],
                areas=self[f'tgt/{i}/area'],
                bboxes=box_convert(self[f'tgt/{i}/boxes'], 'cxcywh', 'xyxy'),
                labels=self[f'tgt/{i}/labels'],
            )
            samples.append(sample)
        return samples

    def target_keypoints(self, key: str) -> torch.Tensor:
        num = self.meta['num_keypoints']
        return self[key][..., : 2 * num].unflatten(-1, (num, 2))


def assert_near(actual, expected, atol=2e-5, part='outputs') -> None:
    note('Group Pose', part, actual, expected)
    torch.testing.assert_close(actual.detach(), expected, atol=atol, rtol=1e-5)


def run(model, case) -> tuple:
    return model.head(model.neck(tuple(case.feats)), case.make_samples())


def record(module: nn.Module, outputs: list) -> None:
    module.register_forward_hook(lambda m, args, out: outputs.append(out))
