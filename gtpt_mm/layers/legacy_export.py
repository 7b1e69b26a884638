"""Reject torch's legacy ONNX exporter where its graph would be wrong."""

import torch


def refuse_legacy_export(name: str) -> None:
    """Raise if ``torch.onnx.export(dynamo=False)`` is tracing.

    Args:
        name: Name of the model.

    Raises:
        ValueError: If it is.
    """
    if torch.jit.is_tracing() and torch.onnx.is_in_onnx_export():
        raise ValueError(
            'the legacy exporter would fix the batch size and the token '
            f'counts of a {name}: call torch.onnx.export(..., dynamo=True), '
            'or gtpt-mm export'
        )
