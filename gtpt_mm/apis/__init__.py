"""Functions for notebooks and scripts, like ``mmpose.apis``.

``fuse`` makes a trained model faster; the others split or extend the datasets
of a ViTPose++.
"""

import importlib
from typing import Any

from gtpt_mm.convert import add_dataset, split_config, split_model
from gtpt_mm.deploy import fuse

__all__ = ['add_dataset', 'fuse', 'split_config', 'split_model']

#: Modules of the names that are imported at their first use.
_LAZY = {
    'Frame': 'results',
    'PoseInferencer': 'pose_inferencer',
    'PoseResult': 'results',
    'Predictor': 'predictor',
    'ResultWriter': 'writing',
    'Skeleton': 'results',
    'VideoWriter': 'video',
    'pack': 'model_folder',
    'predict_dataset': 'collections.ray_dataset',
    'predict_shards': 'collections.shards',
    'read_inputs': 'inputs',
    'read_predictions': 'collections.shards',
    'read_video': 'video',
    'smooth': 'smoothing',
    'track': 'tracking',
    'write_results': 'writing',
}
__all__ += sorted(_LAZY)


def __getattr__(name: str) -> Any:
    """Import the module of a name."""
    if name not in _LAZY:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module = importlib.import_module(f'{__name__}.{_LAZY[name]}')
    return getattr(module, name)
