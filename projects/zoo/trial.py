"""Try one stock config: build, predict, train a step, export.

Weights are random: nothing is downloaded. Each stage goes through the code
that ``mim test`` and ``mim train`` run for a batch: the config's dataset class
and pipeline, its preprocessor, ``test_step``, its optimizer, ``train_step``.
"""

import gc
import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

import gtpt_mm  # noqa: F401  (repairs what mmpose needs)
from gtpt_mm.deploy.graph import find_input_size
from projects.zoo.random_data import make_batch

from mmpose.registry import MODELS  # isort: skip

#: Number of parameters from which SGD is used for the step: the two averages
#: of Adam would exceed the memory limit.
LARGE = 150_000_000
#: Error of BatchNorm for a batch of one sample with a map of one pixel.
ONE_VALUE = 'Expected more than 1 value per channel'
#: Largest allowed difference between an exported file's output and PyTorch's,
#: relative to the largest output.
TOLERANCE = 1e-3
#: Keys of a model's config that no network depends on.
NOT_NETWORK = ('loss', 'decoder', 'out_channels', 'num_keypoints')


class Skipped(Exception):
    """A stage does not apply to this config; the text says why."""


class Trial:
    """One config, stage by stage.

    Args:
        name: Path of the config below the current folder.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.facts: dict[str, Any] = {}
        self.cfg: Config = None
        self.model: BaseModel = None

    def build(self) -> None:
        """Build the model and initialize its weights, without downloads."""
        init_default_scope('mmpose')
        torch.manual_seed(0)
        np.random.seed(0)
        self.cfg = Config.fromfile(self.name)
        self.facts['network'] = network_key(self.cfg)
        model = self.cfg.model
        self.facts['backbone'] = (model.get('backbone') or {}).get('type')
        self.facts['head'] = (model.get('head') or {}).get('type')
        drop_files(model)
        self.model = MODELS.build(model)
        for module in self.model.modules():
            if getattr(module, 'init_cfg', None):
                module.init_cfg = drop_pretrained(module.init_cfg)
        self.model.init_weights()
        self.facts['parameters'] = sum(
            p.numel() for p in self.model.parameters()
        )

    def predict(self) -> None:
        """Predict for a sample of the validation set."""
        loader = self.cfg.get('val_dataloader') or self.cfg.test_dataloader
        self.model.eval()
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            data = make_batch(loader.dataset, 1, Path(folder))
            results = self.model.test_step(data)
        count = 0
        for result in results:
            keypoints = np.asarray(result.pred_instances.keypoints)
            if not np.isfinite(keypoints).all():
                raise ValueError('keypoints are not finite')
            count += len(keypoints)
        self.facts['instances'] = count

    def train(self) -> None:
        """Train one step on a random sample, or on two if one is too few."""
        if not self.cfg.get('train_dataloader'):
            raise Skipped('the config has no training')
        dataset = self.cfg.train_dataloader.dataset
        if not dataset.get('pipeline'):
            raise Skipped('its train_pipeline is empty')
        optim = dict(optimizer=dict(type='SGD', lr=1e-4))
        if self.facts['parameters'] <= LARGE:
            optim = self.cfg.optim_wrapper
        set_progress()
        wrapper = build_optim_wrapper(self.model, optim)
        before = fingerprint(self.model)
        try:
            values = self.train_step(wrapper, 1)
        except ValueError as error:
            if ONE_VALUE not in str(error):
                raise
            self.model.zero_grad()
            values = self.train_step(wrapper, 2)
        self.facts['loss'] = float(values['loss'])
        if not np.isfinite(self.facts['loss']):
            raise ValueError(f'the loss is {self.facts["loss"]}')
        if (fingerprint(self.model) == before).all():
            raise ValueError('the step changed no weight')
        self.model.zero_grad(set_to_none=True)

    def train_step(self, wrapper: OptimWrapper, number: int) -> dict:
        """Return the losses of a step on a batch of random samples."""
        with tempfile.TemporaryDirectory() as folder:
            dataset = self.cfg.train_dataloader.dataset
            data = make_batch(dataset, number, Path(folder))
        self.model.train()
        return self.model.train_step(data, optim_wrapper=wrapper)

    def export(self) -> None:
        """Write an ONNX file and compare onnxruntime with PyTorch."""
        if self.cfg.model.type == 'DWPoseDistiller':
            raise Skipped('a distiller; its student is an RTMPose')
        if self.cfg.model.type == 'PoseLifter':
            raise Skipped('gtpt-mm export is for models of images')
        if self.cfg.model.head.type == 'CIDHead':
            raise Skipped('the number of its outputs depends on the image')
        size = export_size(self.cfg)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / 'model.onnx'
            try:
                deviation = compare(self.model, file, 'dynamic', size)
                self.facts['batch'] = 'any'
            except ValueError as error:
                if 'could not be traced' not in str(error):
                    raise
                deviation = compare(self.model, file, 1, size)
                self.facts['batch'] = '1'
        self.facts['deviation'] = deviation
        if not deviation <= TOLERANCE:
            raise ValueError(f'onnxruntime differs by {deviation:.1e}')


def run(
    name: str, stages: tuple[str, ...], report: Callable[[dict], None]
) -> None:
    """Run stages of a config and report each; stop at a failed stage.

    A failed prediction does not stop the training step.

    Args:
        name: Path of the config.
        stages: Names of methods of :class:`Trial` to call after ``build``.
        report: Called with ``stage``, ``result``, ``seconds`` and facts.
    """
    trial = Trial(name)
    for stage in ('build', *stages):
        start = time.perf_counter()
        result = 'ok'
        try:
            getattr(trial, stage)()
        except Skipped as reason:
            result = f'skipped: {reason}'
        except MemoryError as error:
            result = f'memory: {first_line(error)}'
        except Exception as error:
            result = f'{type(error).__name__}: {first_line(error)}'
        seconds = round(time.perf_counter() - start, 2)
        report(
            dict(stage=stage, result=result, seconds=seconds, **trial.facts)
        )
        if stage == 'build' and result != 'ok':
            break
    trial.model = None
    gc.collect()


def first_line(error: Exception) -> str:
    """Return the first line of an error, without addresses and folders."""
    text = next(iter(str(error).strip().splitlines()), '')
    text = re.sub(r'/\S*/site-packages/', '', text)
    return re.sub(r'0x[0-9a-f]+', '0x', text)[:300]


def drop_files(node: Any) -> None:
    """Remove everything that a model's config would download, in place."""
    if isinstance(node, dict):
        if node.get('init_cfg'):
            node['init_cfg'] = drop_pretrained(node['init_cfg'])
        for key in ('pretrained', 'teacher_pretrained'):
            if isinstance(node.get(key), str):
                node[key] = None
    children = node.values() if isinstance(node, dict) else node
    for child in list(children):
        if isinstance(child, dict | list | tuple):
            drop_files(child)


def drop_pretrained(init_cfg: Any) -> Any:
    """Return an ``init_cfg`` without the parts that read a checkpoint."""
    if isinstance(init_cfg, dict):
        return None if 'checkpoint' in init_cfg else init_cfg
    return [part for part in init_cfg if 'checkpoint' not in part]


def network_key(cfg: Config) -> str:
    """Return a digest of all settings that an export depends on."""

    def strip(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                k: strip(v)
                for k, v in node.items()
                if k not in NOT_NETWORK and k != 'init_cfg'
            }
        if isinstance(node, list | tuple):
            return [strip(v) for v in node]
        return node

    model = {
        key: strip(dict(cfg.model.get(key) or {}))
        for key in ('backbone', 'neck', 'head')
    }
    text = json.dumps(
        [cfg.model.type, model, export_size(cfg)], sort_keys=True, default=str
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def export_size(cfg: Config) -> tuple[int, int] | None:
    """Return the size (w, h) of images of a bottom-up model; else None."""
    if cfg.model.type != 'BottomupPoseEstimator':
        return None
    codec = cfg.get('codec') or {}
    size = cfg.get('input_size') or codec.get('input_size') or (512, 512)
    return int(size[0]), int(size[1])


def fingerprint(model: nn.Module) -> np.ndarray:
    """Return sums of the parameters, to detect whether they changed."""
    with torch.no_grad():
        return np.array([p.abs().sum().item() for p in model.parameters()])


def set_progress() -> None:
    """Set the epoch for losses that depend on it: training has just begun."""
    hub = MessageHub.get_current_instance()
    for key, value in dict(
        epoch=0, max_epochs=100, iter=0, max_iters=1000
    ).items():
        hub.update_info(key, value)


def compare(
    model: BaseModel,
    file: Path,
    batch: str | int,
    size: tuple[int, int] | None,
) -> float:
    """Export a model; return the largest difference of an output.

    Args:
        model: The estimator.
        file: File to write.
        batch: ``'dynamic'`` or the number of images.
        size: Size (w, h) of images of a model that takes any.

    Returns:
        The difference relative to the largest number of that output.
    """
    import onnxruntime

    from gtpt_mm.deploy import export_model

    settle_norms(model, size)
    exported = export_model(model, file, batch=batch, input_size=size)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        str(file), options, providers=['CPUExecutionProvider']
    )
    graph = exported.graph
    images = torch.randn_like(graph.example_images(batch))
    with torch.no_grad():
        expected = [output.numpy() for output in graph(images)]
    found = session.run(None, {'images': images.numpy()})
    if len(found) != len(expected):
        raise ValueError(
            f'the file has {len(found)} outputs, PyTorch {len(expected)}'
        )
    return max(
        float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-12))
        for a, b in zip(found, expected, strict=True)
    )


def settle_norms(model: BaseModel, size: tuple[int, int] | None) -> None:
    """Give BatchNorms the statistics of random images, for evaluation.

    With their initial statistics the outputs of a deep model are nearly zero,
    and every file would agree with it. Without a bias, deep models with random
    weights enlarge differences: noise of 1e-6 in an image changed the output
    of an RSN by a tenth. With it, few numbers are cut off by a ReLU.

    Args:
        model: The estimator; it is left in eval mode.
        size: Size (w, h) of its images; None for that of its codec.
    """
    width, height = size or find_input_size(model)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        if norm.affine:
            norm.bias.data.fill_(2)
    model.train()
    with torch.no_grad():
        model(torch.randn(2, 3, height, width), None, mode='tensor')
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
