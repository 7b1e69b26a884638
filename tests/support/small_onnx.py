"""A network of two outputs, and its ONNX file, written by hand."""

from pathlib import Path

import numpy as np
import onnx
import torch
from mmengine.config import Config
from onnx import TensorProto, helper, numpy_helper
from torch import nn


def write_onnx(
    path: Path, batch: str | int = 'batch', factor: float = 2.0, half=False
) -> Path:
    """Write a file: images (B, 3, h, w) to their multiple and their means.

    Args:
        path: The file.
        batch: Images at once; a name for any number.
        factor: Of the first output.
        half: Whether images and outputs are float16.
    """
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    value = np.array(factor, np.float16 if half else np.float32)
    nodes = [
        helper.make_node('Mul', ['images', 'factor'], ['doubled']),
        helper.make_node(
            'ReduceMean', ['images', 'axes'], ['means'], keepdims=0
        ),
    ]
    entry = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        'small',
        [entry('images', kind, [batch, 3, 'h', 'w'])],
        [
            entry('doubled', kind, [batch, 3, 'h', 'w']),
            entry('means', kind, [batch, 3]),
        ],
        [
            numpy_helper.from_array(value, 'factor'),
            numpy_helper.from_array(np.array([2, 3]), 'axes'),
        ],
    )
    opset = [helper.make_opsetid('', 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.save(model, path)
    return path


def expect(images: torch.Tensor, factor: float = 2.0) -> tuple:
    """Return what the file computes."""
    return images * factor, images.mean((2, 3))


class Head(nn.Module):
    def forward(self, feats):
        return feats[0], feats[0].mean((2, 3)) / 2


class SmallModel(nn.Module):
    """A model that computes what the file computes."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Conv2d(3, 3, 1, bias=False)
        self.backbone.weight.data = 2 * torch.eye(3)[..., None, None]
        self.head = Head()
        self.cfg = Config(
            dict(model=dict(backbone=dict(depth=1), test_cfg=dict(flip=True)))
        )

    def extract_feat(self, images):
        return (self.backbone(images),)
