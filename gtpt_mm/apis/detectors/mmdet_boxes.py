"""Detectors of mmdet, RTMDet first."""

import difflib
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from .base import (
    Boxes,
    Detector,
    DetectorOptions,
    find_people,
    nobody,
    require,
)
from .files import get_file, is_here


class MMDetDetector(Detector):
    """People by a detector of mmdet.

    Args:
        name: Name of the detector, for messages.
        config: Config file; or its name in mmdet, such as
            ``rtmdet/rtmdet_tiny_8xb32-300e_coco.py``, which has weights; or
            '' for the RTMDet of people that is mmpose's default.
        options: Device, thresholds, weights.

    Raises:
        ImportError: If mmdet is not installed.
        ValueError: If there is no such config, or it has no weights.
    """

    def __init__(
        self, name: str, config: str, options: DetectorOptions
    ) -> None:
        require('mmdet', 'mmdet')
        super().__init__(name, options)
        self.config, self.weights = _find_config(config)
        self.weights = options.weights or self.weights
        if not self.weights:
            raise ValueError(
                f'the detector {name} needs weights=FILE or a URL: only '
                "configs of mmdet's own have known weights"
            )

    @property
    def is_here(self) -> bool:
        """Whether the weights are on this machine."""
        return is_here(self.weights)

    def build(self) -> '_Network':
        """Return the network with its weights and its test pipeline."""
        from mmdet.apis import init_detector
        from mmdet.utils import get_test_pipeline_cfg, register_all_modules

        register_all_modules(init_default_scope=False)
        checkpoint = None
        if self.weights != 'random':
            checkpoint = str(get_file(self.weights, self.name))
        cfg = Config.fromfile(self.config)
        with DefaultScope.overwrite_default_scope('mmdet'):
            with warnings.catch_warnings():
                # Of classes that are not in the checkpoint: see below.
                warnings.simplefilter('ignore')
                model = init_detector(
                    cfg,
                    checkpoint,
                    palette='coco',
                    device=str(self.options.torch_device),
                )
            steps = get_test_pipeline_cfg(cfg)
            steps[0]['type'] = 'mmdet.LoadImageFromNDArray'
            pipeline = Compose(steps)
        return _Network(model, pipeline, self._find_classes(model, cfg))

    @torch.inference_mode()
    def detect(
        self, network: '_Network', images: list[np.ndarray]
    ) -> list[Boxes]:
        """Run mmdet's pipeline and test step.

        Inputs of one size form a batch: mmdet would pad the smaller ones.
        """
        inputs = [
            network.pipeline(dict(img=image, img_id=i))
            for i, image in enumerate(images)
        ]
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, item in enumerate(inputs):
            groups.setdefault(tuple(item['inputs'].shape), []).append(i)
        found: list[Boxes] = [nobody()] * len(images)
        for group in groups.values():
            batch = pseudo_collate([inputs[i] for i in group])
            results = network.model.test_step(batch)
            for i, result in zip(group, results, strict=True):
                people = result.pred_instances.cpu().numpy()
                kept = np.isin(people.labels, network.people)
                found[i] = people.bboxes[kept], people.scores[kept]
        return found

    def _find_classes(self, model: Any, cfg: Config) -> tuple[int, ...]:
        dataset = cfg.get('test_dataloader', {}).get('dataset', {})
        classes = dataset.get('metainfo', {}).get('classes')
        if classes is None:
            classes = model.dataset_meta['classes']
        return find_people(list(classes), self.options, self.name)


class _Network(NamedTuple):
    model: Any
    pipeline: Any
    people: tuple[int, ...]


def _find_config(config: str) -> tuple[str, str]:
    """Return the path of a config and the URL of its weights, '' if unknown.

    Raises:
        ValueError: If there is no such config.
    """
    if not config:
        from mmpose.apis.inferencers.utils import default_det_models

        human = default_det_models['human']
        return human['model'], human['weights']
    if Path(config).is_file():
        return config, ''
    import mmdet
    from mmengine.hub import get_config

    folder = Path(mmdet.__file__).parent / '.mim' / 'configs'
    if not (folder / config).is_file():
        known = [str(p.relative_to(folder)) for p in folder.glob('*/*.py')]
        near = difflib.get_close_matches(config, known, n=3, cutoff=0.5)
        hint = f'; did you mean {" or ".join(near)}?' if near else ''
        raise ValueError(
            f'no config {config!r}: neither a file nor a name in mmdet{hint}'
        )
    try:
        weights = get_config(f'mmdet::{config}', pretrained=True).model_path
    except Exception:  # it has none; get_config does not say so clearly
        weights = ''
    return str(folder / config), weights
