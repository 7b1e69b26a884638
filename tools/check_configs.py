"""Load every config and build its model; part of ``make lint``."""

import sys
import warnings
from pathlib import Path

warnings.filterwarnings('ignore', message='pkg_resources')

from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # configs of projects import their models


def main() -> int:
    """Return 1 if a config does not load or build."""
    files = sorted(
        path
        for folder in ('configs', 'projects')
        for path in (ROOT / folder).rglob('*.py')
        if 'configs' in path.parts and '_base_' not in path.parts
    )
    num_bad = 0
    for path in files:
        try:
            cfg = Config.fromfile(path)
            init_default_scope(cfg.default_scope)
            import torch
            from mmpose.registry import MODELS

            # ViTPose-H fills 2.5 GB; shapes without numbers tell as much.
            is_large = cfg.model.backbone.type == 'ViTPose'
            with torch.device('meta' if is_large else 'cpu'):
                MODELS.build(cfg.model)
        except Exception as error:
            num_bad += 1
            print(f'{path.relative_to(ROOT)}: {error!r}')
    print(f'{len(files)} configs load and build, {num_bad} do not')
    return int(num_bad > 0)


if __name__ == '__main__':
    sys.exit(main())
