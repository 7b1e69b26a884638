"""What the exporters of torch make of a GTPT."""

import pytest
import torch
from mmpose.registry import MODELS
from support.stock_inference import small_config

import gtpt_mm.deploy


def test_the_legacy_exporter_is_refused(tmp_path):
    """It would write a file that fails at every other batch."""
    model = MODELS.build(small_config('gtpt').model).eval()
    model.forward = model._forward
    for one in (model, gtpt_mm.deploy.fuse(model)):
        with pytest.raises(ValueError, match='GTPT.*dynamo=True'):
            torch.onnx.export(
                one,
                (torch.zeros(2, 3, 96, 64),),
                str(tmp_path / 'gtpt.onnx'),
                dynamo=False,
                opset_version=17,
            )
