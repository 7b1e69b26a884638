"""Networks as their configs describe them, and inputs for them."""

# B batch, K keypoints, (h, w) input in pixels

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config, ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, MODELS, TRANSFORMS
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

from gtpt_mm.compat.files.loaded_tensors import check_finite, load_state_dict
from gtpt_mm.convert import convert_to_native, find_weights, read_checkpoint
from gtpt_mm.engine.config_check import check_before_run

from .huggingface import load_vitpose
from .onnx_file import OnnxFile
from .selection import ModelChoice


@dataclass(frozen=True)
class Network:
    """A network to measure.

    Attributes:
        label: Its name in the tables.
        config: Its config file; see :class:`ModelChoice`.
        cfg: The config, overrides applied.
        model: The network on the CPU, in float32, in evaluation mode.
        input_size: Input (w, h) in pixels.
        has_weights: Whether its weights are not random.
        is_stock: Whether it is the unchanged model of its config.
        file: The ONNX file, if the network is one.
    """

    label: str
    config: Path | None
    cfg: Config
    model: nn.Module
    input_size: tuple[int, int]
    has_weights: bool = False
    is_stock: bool = False
    file: Path | None = None

    def images(self, batch_size: int, seed: int = 0) -> Tensor:
        """Return normalised noise of the right size, (B, 3, h, w)."""
        width, height = self.input_size
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(batch_size, 3, height, width, generator=generator)


def load_network(
    choice: ModelChoice,
    input_size: tuple[int, int] | None = None,
    config_check: bool = True,
) -> Network:
    """Build a network, with random weights unless it is given some.

    Nothing is downloaded: speed does not depend on the weights.

    Args:
        choice: The model, and what to change in its config.
        input_size: Input (w, h) in pixels; None takes it from the config.
        config_check: Whether to check the config for mistakes first.

    Returns:
        The network.

    Raises:
        ValueError: If the config cannot be loaded or built or has no size, or
            the weights do not fit the model.
    """
    if choice.is_onnx:
        return _load_onnx(choice, input_size)
    cfg = _read_config(choice, config_check)
    size = input_size or _find_input_size(cfg, choice.label)
    has_weights = choice.weights is not None
    model: nn.Module
    if choice.is_hugging_face:
        model, has_weights = load_vitpose(
            choice.source, size[::-1], choice.weights
        )
    else:
        model = _build(cfg, choice)
        if choice.weights:
            _load_weights(model, choice)
    return Network(
        choice.label,
        choice.config,
        cfg,
        revert_sync_batchnorm(model).eval(),
        size,
        has_weights,
        not (choice.is_hugging_face or choice.options or input_size),
    )


def _load_onnx(
    choice: ModelChoice, input_size: tuple[int, int] | None
) -> Network:
    model = OnnxFile(Path(choice.source))
    size = input_size or model.input_size
    if size is None:
        raise ValueError(
            f'{choice.label}: height and width of its input are not fixed; '
            'give a size by --input-size W H'
        )
    cfg = _read_config(choice, False) if choice.config else Config()
    return Network(
        choice.label, choice.config, cfg, model, size, True, file=model.file
    )


def _read_config(choice: ModelChoice, config_check: bool) -> Config:
    try:
        cfg = Config.fromfile(choice.config)
        cfg.merge_from_dict(choice.options)
        if config_check:
            check_before_run(cfg, is_run=False)
    except Exception as error:  # a config is a program
        raise ValueError(
            f'{choice.label}: {choice.config} cannot be read: {error}'
        ) from error
    return cfg


def _build(cfg: Config, choice: ModelChoice) -> nn.Module:
    try:
        init_default_scope(cfg.get('default_scope', 'mmpose'))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return MODELS.build(cfg.model)
    except Exception as error:
        # Whatever a constructor raises is about the config.
        raise ValueError(
            f'{choice.label}: the model of {choice.config} cannot be built: '
            f'{error}'
        ) from error


def _load_weights(model: nn.Module, choice: ModelChoice) -> None:
    """Load exactly the weights of a file into a model, in place."""
    try:
        content = read_checkpoint(str(choice.weights))
        weights = convert_to_native(find_weights(content))
        check_finite(weights, 'they')
        load_state_dict(model, weights, strict=True)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f'{choice.label}: {choice.weights} does not hold the weights of '
            f'{choice.config}: {error}'
        ) from error


def find_test_set(cfg: Config) -> ConfigDict:
    """Return the config of the set that a config tests on.

    Raises:
        ValueError: If there is none.
    """
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    for dataset in _unwrap(loader.get('dataset')):
        if 'pipeline' in dataset and 'ann_file' in dataset:
            return dataset
    raise ValueError(
        f'{cfg.filename}: the config has no test_dataloader with an ann_file'
    )


def _find_input_size(cfg: Config, label: str) -> tuple[int, int]:
    """Return the size (w, h) of test images at the input of the network.

    For a resize by the short side, this is the largest image, a wide one.
    """
    holders = [
        *_pipeline(cfg, 'test_dataloader'),
        *_pipeline(cfg, 'val_dataloader'),
        cfg.model.get('head', {}).get('decoder', {}),
        cfg.get('codec', {}),
    ]
    for holder in holders:
        if 'input_size' in holder:
            width, height = holder['input_size']
            return int(width), int(height)
        if holder.get('type') == 'GroupPoseResize' and holder.get(
            'max_long_side'
        ):
            return int(holder['max_long_side']), int(holder['short_sides'][0])
    raise ValueError(
        f'{label}: neither the test pipeline nor the codec of the config has '
        'an input_size, or a GroupPoseResize with a max_long_side; give a '
        'size by --input-size W H'
    )


def _unwrap(dataset: ConfigDict | None) -> Iterator[ConfigDict]:
    """Yield a dataset and the chain of (first) datasets inside it."""
    while dataset:
        yield dataset
        inner = dataset.get('datasets', ())
        if isinstance(inner, dict):  # MultiDataset has names for them
            inner = inner.values()
        dataset = dataset.get('dataset') or next(iter(inner), None)


def _pipeline(cfg: Config, loader: str) -> Iterator[ConfigDict]:
    """Yield the steps of a loader's pipelines, the outermost first."""
    for dataset in _unwrap(cfg.get(loader, {}).get('dataset')):
        yield from dataset.get('pipeline', ())


def training_batch(
    network: Network, batch_size: int, device: str = 'cpu'
) -> tuple[Tensor, list[PoseDataSample]]:
    """Return images and the targets of random keypoints.

    The targets are made by the steps of the config's own training pipeline
    that come after augmentation: ``GenerateTarget`` and ``PackPoseInputs``.
    Those of a ``MultiDataset`` come from one dataset after the other.

    Args:
        network: The network to train.
        batch_size: Number of images B, with one instance in each.
        device: Where images and targets go.

    Returns:
        Images (B, 3, h, w) and B data samples, as a model's loss takes them.

    Raises:
        ValueError: If the config has no such steps.
    """
    sources = [
        (idx, _target_steps(dataset, network.label), _metainfo(dataset))
        for idx, dataset in _training_sets(network.cfg)
    ]
    rng = np.random.default_rng(0)
    samples = []
    for _, (dataset_idx, steps, metainfo) in zip(
        range(batch_size), cycle(sources), strict=False
    ):
        results = _random_instance(metainfo, network.input_size, rng)
        for step in steps:
            results = step(results)
        sample = results['data_samples']
        # Set as by the data preprocessor, which is left out: nothing is
        # padded.
        sample.set_metainfo(dict(batch_input_shape=network.input_size[::-1]))
        if dataset_idx is not None:
            names = tuple(network.cfg.train_dataloader.dataset.names)
            sample.set_metainfo(
                dict(
                    dataset_idx=dataset_idx,
                    dataset_name=names[dataset_idx],
                    dataset_names=names,
                )
            )
        samples.append(sample.to(device))
    return network.images(batch_size).to(device), samples


def _target_steps(dataset: ConfigDict, label: str) -> list[BaseTransform]:
    """Return the steps of a training set that make the targets."""
    steps = [
        TRANSFORMS.build(step)
        for inner in _unwrap(dataset)
        for step in inner.get('pipeline', ())
        if step['type'] in ('GenerateTarget', 'PackPoseInputs', 'PackImage')
    ]
    if len(steps) != 2:
        raise ValueError(
            f'the training pipeline of {label} makes its targets by other '
            'steps than one GenerateTarget and one PackPoseInputs'
        )
    return steps


def _training_sets(cfg: Config) -> list[tuple[int | None, ConfigDict]]:
    """Return (index, config) of the datasets of a ``MultiDataset``.

    Any other dataset is returned alone, without an index.
    """
    dataset = cfg.get('train_dataloader', {}).get('dataset') or ConfigDict()
    inner = dataset.get('datasets')
    if not isinstance(inner, dict):
        return [(None, dataset)]
    names = enumerate(dataset.names)
    return [(idx, inner[name]) for idx, name in names if name in inner]


def _metainfo(dataset: ConfigDict) -> dict:
    """Return the skeleton of a training set, without opening the set."""
    for inner in _unwrap(dataset):
        metainfo = inner.get('metainfo')
        if metainfo is None:
            metainfo = getattr(DATASETS.get(inner.type), 'METAINFO', None)
        if metainfo:
            return parse_pose_metainfo(metainfo)
    raise ValueError('the training set of the config has no metainfo')


def _random_instance(
    metainfo: dict, input_size: tuple[int, int], rng: np.random.Generator
) -> dict:
    """Return the results of a pipeline after augmentation."""
    num_keypoints = metainfo['num_keypoints']
    size = np.array(input_size, np.float32)
    keypoints = rng.random((1, num_keypoints, 2), np.float32) * size
    return dict(
        img=np.zeros((input_size[1], input_size[0], 3), np.uint8),
        img_shape=input_size[::-1],
        ori_shape=input_size[::-1],
        img_path='',
        img_id=0,
        id=0,
        category_id=1,
        input_size=input_size,
        input_center=size / 2,
        input_scale=size,
        bbox=np.array([[0, 0, *input_size]], np.float32),
        bbox_center=size[None] / 2,
        bbox_scale=size[None],
        bbox_score=np.ones(1, np.float32),
        keypoints=keypoints,
        transformed_keypoints=keypoints,
        keypoints_visible=np.ones((1, num_keypoints), np.float32),
        area=size.prod(keepdims=True),
        dataset_keypoint_weights=metainfo['dataset_keypoint_weights'],
        flip_indices=metainfo['flip_indices'],
    )
