"""Small ViTPose++ models, as the recorded ones."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from gtpt_mm.layers.expert_mlp import DatasetGroups, group_by_dataset

NAMES = ('coco', 'aic', 'mpii', 'ap10k', 'apt36k', 'wholebody')
KEYPOINTS = (17, 14, 16, 17, 17, 133)
#: Datasets that the authors train and test with unbiased data processing.
UNBIASED = ('coco', 'mpii')

#: Options of the authors' models that freeze parts, and these parts.
FROZEN_PARTS = {
    'freeze_attn=True': ['attn'],
    'freeze_ffn=True': ['ffn', 'pos_embed', 'patch_embed'],
    'freeze_attn=True_freeze_ffn=True': [
        'attn',
        'ffn',
        'pos_embed',
        'patch_embed',
    ],
    'frozen_stages=0': ['patch_embed'],
    'frozen_stages=1': ['patch_embed', 'layers.0'],
    'frozen_stages=2': ['patch_embed', 'layers.0', 'layers.1'],
}


def make_codec(name: str, img_size: tuple[int, int]) -> dict:
    height, width = img_size
    sizes = dict(
        input_size=(width, height), heatmap_size=(width // 4, height // 4)
    )
    kind = 'UDPHeatmap' if name in UNBIASED else 'MSRAHeatmap'
    return dict(type=kind, sigma=2, **sizes)


def make_model_cfg(
    img_size=(64, 48),
    dim=48,
    depth=3,
    num_heads=4,
    filters=(16, 16),
    part_features=12,
    **head,
) -> dict:
    """Config of the model that ``vit_moe_s*.pt`` were recorded from."""
    return dict(
        type='MultiDatasetPoseEstimator',
        backbone=dict(
            type='ViTPose',
            arch=dict(embed_dims=dim, depth=depth, num_heads=num_heads),
            img_size=img_size,
            experts=dict(num_experts=6, part_features=part_features),
        ),
        head=dict(
            type='MultiDatasetHead',
            names=NAMES,
            heads={
                name: dict(out_channels=k, decoder=make_codec(name, img_size))
                for name, k in zip(NAMES, KEYPOINTS, strict=True)
            },
            shared=dict(
                type='HeatmapHead',
                in_channels=dim,
                deconv_out_channels=filters,
                deconv_kernel_sizes=(4, 4),
            ),
            **head,
        ),
        test_cfg=dict(
            flip_test=True,
            dataset='coco',
            datasets={
                name: dict(shift_heatmap=True)
                for name in NAMES
                if name not in UNBIASED
            },
        ),
    )


def native_name(name: str) -> str:
    """Translate the official name of a tensor."""
    name = name.replace('.blocks.', '.layers.')
    name = name.replace('keypoint_head.', 'head.heads.coco.', 1)
    for n, dataset in enumerate(NAMES[1:]):
        name = name.replace(
            f'associate_keypoint_heads.{n}.', f'head.heads.{dataset}.'
        )
    return name


def native_state_dict(official: dict) -> dict:
    """Translate a state dict; the first position goes into the others."""
    state = {native_name(name): value for name, value in official.items()}
    table = state['backbone.pos_embed']
    state['backbone.pos_embed'] = table[:, 1:] + table[:, :1]
    return state


def group(dataset_idx: Sequence[int]) -> DatasetGroups:
    return group_by_dataset(dataset_idx, len(NAMES))


def run_backbone(model, img, dataset_idx) -> torch.Tensor:
    """Features of images, each by the expert of its dataset, (B, C, h, w)."""
    groups = group(dataset_idx)
    [feats] = model.extract_feat(groups.sort(img), groups.counts)
    return torch.stack(groups.unsort_list(list(feats)))


def build_golden(golden: dict, **head) -> torch.nn.Module:
    cfg = golden['config']
    model = MODELS.build(
        make_model_cfg(
            cfg['img'],
            cfg['dim'],
            cfg['depth'],
            cfg['heads'],
            cfg['filt'],
            cfg['pf'],
            **head,
        )
    )
    model.load_state_dict(native_state_dict(golden['state_dict']), strict=True)
    return model


def make_samples(
    dataset_idx, targets=None, weights=None, img_size=(64, 48)
) -> list[PoseDataSample]:
    """Samples of a mixed batch; random targets unless given, padded or not."""
    height, width = img_size
    samples = []
    for i, k in enumerate(dataset_idx):
        num = KEYPOINTS[k]
        sample = PoseDataSample(
            metainfo=dict(
                dataset_idx=int(k),
                flip_indices=list(reversed(range(num))),
                input_size=(width, height),
                input_center=np.array([30.0, 40.0]),
                input_scale=np.array([width, height], float),
            )
        )
        maps = (
            torch.rand(num, height // 4, width // 4)
            if targets is None
            else targets[i, :num]
        )
        weight = torch.ones(1, num) if weights is None else weights[i, :num].T
        sample.gt_fields = PixelData(heatmaps=maps)
        sample.gt_instance_labels = InstanceData(keypoint_weights=weight)
        sample.gt_instances = InstanceData(bboxes=np.zeros((1, 4)))
        sample.gt_instances.bbox_scores = np.ones(1)
        samples.append(sample)
    return samples


class Mpii(torch.utils.data.Dataset):
    """Random samples of one of the six datasets, as a loader yields them."""

    metainfo: dict = {}

    def __init__(self, length: int = 6) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(index)
            [sample] = make_samples([NAMES.index('mpii')])
            img = torch.randint(255, (3, 64, 48), dtype=torch.uint8)
        return dict(inputs=img, data_samples=sample)


class StartHook(Hook):
    """Keep the weights that a training starts from."""

    weights: dict[str, torch.Tensor]

    def before_train(self, runner) -> None:
        model = getattr(runner.model, 'module', runner.model)
        state = model.state_dict()
        self.weights = {name: value.clone() for name, value in state.items()}
