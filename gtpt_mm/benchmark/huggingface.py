"""VitPose of Hugging Face's transformers, to compare with ViTPose."""

# B batch, K keypoints, (h, w) input in pixels

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

#: Prefix of a name or a folder of transformers.
PREFIX = 'hf:'
_SIZES = {
    'small': dict(hidden_size=384, num_hidden_layers=12, part_features=96),
    'base': dict(hidden_size=768, num_hidden_layers=12, part_features=192),
    'large': dict(hidden_size=1024, num_hidden_layers=24, part_features=256),
    'huge': dict(hidden_size=1280, num_hidden_layers=32, part_features=320),
}
_NUM_HEADS = dict(small=12, base=12, large=16, huge=16)
_NAME = re.compile(
    r'(?:[\w.-]+/)?vitpose-(plus-)?(small|base|large|huge)'
    r'(-simple|-coco-aic-mpii)?'
)


class HuggingFaceVitPose(nn.Module):
    """A ``VitPoseForPoseEstimation`` behind mmpose's ``mode='tensor'``.

    Args:
        model: The model of transformers.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.model.backbone.set_attn_implementation('sdpa')
        self.with_experts = model.config.backbone_config.num_experts > 1

    def forward(
        self,
        inputs: Tensor,
        data_samples: object = None,
        mode: str = 'tensor',
    ) -> Tensor:
        """Return heatmaps, (B, K, h / 4, w / 4), of COCO's expert.

        Raises:
            ValueError: For any other mode: transformers cannot train this
                model.
        """
        if mode != 'tensor':
            raise ValueError(
                f'VitPose of transformers has no training: mode is {mode!r}'
            )
        index = None
        if self.with_experts:
            index = torch.zeros(
                len(inputs), dtype=torch.long, device=inputs.device
            )
        return self.model(inputs, dataset_index=index).heatmaps


def load_vitpose(
    source: str, img_size: tuple[int, int], weights: str | None = None
) -> tuple[HuggingFaceVitPose, bool]:
    """Return a VitPose and whether its weights are not random.

    Args:
        source: ``hf:`` and a folder with ``config.json``, or a name of the
            Hub such as ``usyd-community/vitpose-base-simple``, of which only
            the architecture is taken: nothing is downloaded.
        img_size: Input (h, w) in pixels.
        weights: Folder, or name on the Hub, of the weights; None for those
            of a folder, or random ones.

    Raises:
        ValueError: If transformers is not installed or the weights cannot be
            loaded.
    """
    try:
        from transformers import VitPoseForPoseEstimation
    except ImportError as error:
        raise ValueError(
            f'{source} requires transformers: pip install "transformers>=5"'
        ) from error
    name = source.removeprefix(PREFIX)
    folder = weights or (name if Path(name).is_dir() else None)
    if folder is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = VitPoseForPoseEstimation(_config(name, img_size))
        return HuggingFaceVitPose(model), False
    try:
        model = VitPoseForPoseEstimation.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ValueError(
            f'{source}: {folder} does not load: {error}'
        ) from error
    return HuggingFaceVitPose(model), True


def _config(name: str, img_size: tuple[int, int]) -> Any:
    """Return the config of transformers of a released model."""
    from transformers import VitPoseBackboneConfig, VitPoseConfig

    plus, size, decoder = _match(name).groups()
    settings = dict(_SIZES[size])
    part_features = settings.pop('part_features')
    if plus:
        settings |= dict(num_experts=6, part_features=part_features)
    backbone = VitPoseBackboneConfig(
        **settings,
        image_size=list(img_size),
        num_attention_heads=_NUM_HEADS[size],
        out_indices=[settings['num_hidden_layers']],
    )
    return VitPoseConfig(
        backbone_config=backbone,
        use_simple_decoder=decoder == '-simple',
        num_labels=17,
    )


def find_native(source: str) -> str:
    """Return the name of our model whose pipeline and decoder are the same.

    Raises:
        ValueError: If it is neither the name of a released model nor a folder.
    """
    name = source.removeprefix(PREFIX)
    if Path(name).is_dir():
        return 'vitpose-b'
    _, size, decoder = _match(name).groups()
    return f'vitpose-{size[0]}' + (decoder == '-simple') * '-simple'


def _match(name: str) -> re.Match:
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(
            f'hf:{name} is neither a folder nor a VitPose of transformers: '
            'hf:vitpose-base, hf:usyd-community/vitpose-base-simple, '
            'hf:vitpose-plus-small, ...'
        )
    return found
