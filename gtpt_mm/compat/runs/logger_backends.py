"""Let W&B, MLflow and ClearML log a pose training without a server.

Broken: ``MLflowVisBackend`` of mmengine (<= 0.10.7) hands metrics of COCO
over by names that MLflow refuses (``AP (M)``), names pictures without the
ending that MLflow needs, and keeps only the last of them; it fails at lists of
a config that hold dicts and other values; it logs to a folder, which MLflow
>= 3.7 allows on request only. ``ClearMLVisBackend`` has no way to
run without a server: ``Task.init`` has no argument for it.
``WandbVisBackend`` copies every Python file below the current folder, and
walks through all data there to find them.

Here: subclasses under the stock names. For MLflow, parentheses are left out
of names, pictures are ``val_img_120.png`` by their step, and the folder is
allowed. For ClearML, ``init_kwargs=dict(offline=True)`` keeps the session in
the folder of the log, to be imported by a server later. W&B gets code only if
``log_code_name`` asks for it.

Can go: when mmengine names metrics and pictures as MLflow takes them, has an
option for ClearML without a server, and one for the code of W&B.
"""

import os
import re
from typing import Any

import mmengine.visualization
import numpy as np
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import ClearMLVisBackend as StockClearML
from mmengine.visualization import MLflowVisBackend as StockMLflow
from mmengine.visualization import WandbVisBackend as StockWandb
from mmengine.visualization import vis_backend as stock_module

#: Characters that MLflow does not allow in a name.
_FORBIDDEN = re.compile(r'[^\w./ :-]')
ALLOW_FOLDER = 'MLFLOW_ALLOW_FILE_STORE'
CLEARML_FOLDER = 'CLEARML_CACHE_DIR'


def missing() -> str:
    """Say what is missing."""
    return (
        'mmengine names metrics of COCO and pictures as MLflow refuses them, '
        'cannot log to ClearML offline, and copies all code to W&B'
    )


def repair() -> None:
    """Put the subclasses under the stock names."""
    for kind in (WandbVisBackend, MLflowVisBackend, ClearMLVisBackend):
        VISBACKENDS.register_module(kind.__name__, module=kind, force=True)
        setattr(mmengine.visualization, kind.__name__, kind)
        setattr(stock_module, kind.__name__, kind)


class WandbVisBackend(StockWandb):
    """Log to W&B; arguments are those of mmengine's backend."""

    _log_code_name: str | None
    _init_kwargs: dict | None

    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Record the config; and code, if it has a name."""
        if self._log_code_name is not None:
            super().add_config(config, **kwargs)
            return
        run = self.experiment  # starts it
        change = (self._init_kwargs or {}).get('allow_val_change', False)
        run.config.update(config.to_dict(), allow_val_change=change)


class MLflowVisBackend(StockMLflow):
    """Log to MLflow; arguments are those of mmengine's backend."""

    _tracking_uri: str | None
    _save_dir: str
    cfg: Config
    _mlflow: Any

    def _init_env(self) -> None:
        """Allow the folder, if no server is given."""
        if self._tracking_uri is None:
            os.environ.setdefault(ALLOW_FOLDER, 'true')
        super()._init_env()

    def add_image(
        self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any
    ) -> None:
        """Save a picture by its name and step, as PNG if it has no ending."""
        stem, ending = os.path.splitext(name)
        name = f'{stem}_{step}{ending or ".png"}'
        super().add_image(name, image, step, **kwargs)

    def add_scalar(
        self, name: str, value: Any, step: int = 0, **kwargs: Any
    ) -> None:
        """Log a number by a name that MLflow allows."""
        super().add_scalar(_allowed(name), value, step, **kwargs)

    def add_scalars(
        self,
        scalar_dict: dict,
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log numbers by names that MLflow allows."""
        allowed = {
            _allowed(name): value for name, value in scalar_dict.items()
        }
        super().add_scalars(allowed, step, file_path, **kwargs)

    def _flatten(
        self, d: Any, parent_key: str = '', sep: str = '.'
    ) -> dict[str, Any]:
        """Return a config as one dict; lists may hold anything."""
        if isinstance(d, list) and any(isinstance(x, dict) for x in d):
            d = {str(i): value for i, value in enumerate(d)}
        if not isinstance(d, dict):
            return {parent_key: d}
        found: dict[str, Any] = {}
        for key, value in d.items():
            name = f'{parent_key}{sep}{key}' if parent_key else key
            found |= self._flatten(value, name, sep)
        return found

    def close(self) -> None:
        """Copy the logs and end the run, also one without a config."""
        if hasattr(self, '_mlflow') and not hasattr(self, 'cfg'):
            self._mlflow.end_run()
            return
        super().close()


class ClearMLVisBackend(StockClearML):
    """Log to ClearML; arguments are those of mmengine's backend.

    ``init_kwargs`` takes one more: ``offline=True`` needs no server and copies
    no checkpoints.
    """

    _init_kwargs: dict | None
    _save_dir: str | None
    _artifact_suffix: tuple[str, ...] | str

    def _init_env(self) -> None:
        """Start a session, without a server if ``offline`` is set."""
        options = dict(self._init_kwargs or {})
        if options.pop('offline', False):
            self._artifact_suffix = '.py'  # checkpoints are too large
            if self._save_dir:
                folder = os.path.abspath(self._save_dir)
                os.environ.setdefault(CLEARML_FOLDER, folder)
            try:
                import clearml
            except ImportError:
                pass  # the stock backend says so
            else:
                clearml.Task.set_offline(True)
        self._init_kwargs = options
        super()._init_env()


def _allowed(name: str) -> str:
    return _FORBIDDEN.sub('', name)
