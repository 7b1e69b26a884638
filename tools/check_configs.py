"""Load and check every config and build its model: ``make lint``."""

import gc
import re
import sys
import warnings
from pathlib import Path

warnings.filterwarnings('ignore', message='pkg_resources')

from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

import gtpt_mm  # noqa: E402, F401  (repairs what mmpose needs)
from gtpt_mm.engine.config_check import check, format_findings  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # configs of projects import their models
#: Fields of a name, see configs/README.md.
NAME = re.compile(
    r'(?P<method>td-hm_|ae_)?'
    r'(?P<model>[a-z0-9-]+)(_[a-z0-9-]+){0,2}'
    r'_\d+xb\d+(-accum\d+)?-\d+e'
    r'_(?P<data>[a-z0-9-]+)-\d+x\d+'
)


def check_name(path: Path) -> None:
    """Check that a name follows the rule of configs/README.md.

    Raises:
        ValueError: If the name lacks a field, or contradicts its folder.
    """
    name = NAME.fullmatch(path.stem)
    if name is None:
        raise ValueError('the name lacks a field, see configs/README.md')
    if 'projects' in path.relative_to(ROOT).parts:
        if name['method']:
            raise ValueError('a config of a project has no method prefix')
        return
    algorithm, dataset = (part.replace('_', '-') for part in path.parts[-3:-1])
    if not name['model'].startswith(algorithm):
        raise ValueError(f'a config in {algorithm}/ begins with that name')
    if not name['data'].startswith(dataset):
        raise ValueError(f'a config in {dataset}/ reads that dataset')


def main() -> int:
    """Return 1 if a config does not load or build."""
    files = sorted(
        path
        for folder in ('configs', 'projects')
        for path in (ROOT / folder).rglob('*.py')
        if 'configs' in path.relative_to(ROOT).parts
        and '_base_' not in path.parts
    )
    num_bad = 0
    gc.collect()
    gc.freeze()  # imports, so that the collections below are quick
    for path in files:
        try:
            check_name(path)
            cfg = Config.fromfile(path)
            if findings := check(cfg):
                raise ValueError(format_findings(findings, path.name))
            init_default_scope(cfg.default_scope)
            import torch
            from mmpose.registry import MODELS

            # ViTPose-H fills 2.5 GB; building it needs only the shapes.
            is_large = cfg.model.backbone.type == 'ViTPose'
            with torch.device('meta' if is_large else 'cpu'):
                MODELS.build(cfg.model)
        except Exception as error:
            num_bad += 1
            print(f'{path.relative_to(ROOT)}: {error!r}')
        gc.collect()  # some models have reference cycles: 7 GB in the end
    print(f'{len(files)} configs load and build, {num_bad} do not')
    return int(num_bad > 0)


if __name__ == '__main__':
    sys.exit(main())
