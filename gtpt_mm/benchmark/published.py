"""Accuracies from papers and mmpose's model zoo; none is measured."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from gtpt_mm.config_names import find_model

from .network import Network


class Published(NamedTuple):
    """A published accuracy; its boxes and flip test may differ from ours.

    Attributes:
        value: AP from 0 to 1.
        dataset: Where it was measured.
        source: Paper or file that states it.
    """

    value: float
    dataset: str
    source: str


COCO, WHOLE_BODY = 'COCO', 'COCO-WholeBody'
_GTPT = 'GTPT, Tables 1 and 2'
_VITPOSE = 'ViTPose, Table 1 and its code'
_PLUS = 'ViTPose++, Table 5'
_GROUP_POSE = 'Group Pose, Table 1'
#: By short name of the model. AP on val2017; HEViTPose states it on test-dev
#: only, which the others do not.
_PAPERS = {
    'gtpt-t': (71.1, COCO, _GTPT),
    'gtpt-s': (73.6, COCO, _GTPT),
    'gtpt-b': (74.9, COCO, _GTPT),
    'gtpt-t-wholebody': (54.9, WHOLE_BODY, _GTPT),
    'gtpt-s-wholebody': (59.6, WHOLE_BODY, _GTPT),
    'gtpt-b-wholebody': (61.7, WHOLE_BODY, _GTPT),
    'vitpose-s': (73.8, COCO, _VITPOSE),
    'vitpose-b': (75.8, COCO, _VITPOSE),
    'vitpose-l': (78.3, COCO, _VITPOSE),
    'vitpose-h': (79.1, COCO, _VITPOSE),
    'vitpose-s-simple': (73.5, COCO, _VITPOSE),
    'vitpose-b-simple': (75.5, COCO, _VITPOSE),
    'vitpose-l-simple': (78.2, COCO, _VITPOSE),
    'vitpose-h-simple': (78.9, COCO, _VITPOSE),
    'vitpose-plus-s': (75.8, COCO, _PLUS),
    'vitpose-plus-b': (77.0, COCO, _PLUS),
    'vitpose-plus-l': (78.6, COCO, _PLUS),
    'vitpose-plus-h': (79.4, COCO, _PLUS),
    'group-pose-r50': (72.0, COCO, _GROUP_POSE),
    'group-pose-swin-t': (73.6, COCO, _GROUP_POSE),
    'group-pose-swin-l': (74.8, COCO, _GROUP_POSE),
}


def find_network_published(network: Network) -> Published | None:
    """Return the published accuracy of a network, if it is unchanged."""
    if network.config is None or not network.is_stock:
        return None
    return find_published(network.config)


def find_published(config: Path) -> Published | None:
    """Return the published accuracy of a config of gtpt_mm or mmpose.

    Args:
        config: Its file; a changed copy elsewhere has no published accuracy.
    """
    model = find_model(config.stem)
    if model is not None and model.config:
        row = _PAPERS.get(model.name)
        if row is None or model.path.resolve() != config.resolve():
            return None
        return Published(row[0] / 100, *row[1:])
    return _read_metafiles(config.parent).get(config.stem)


@cache
def _read_metafiles(folder: Path) -> dict[str, Published]:
    """Return AP by name of the config, from mmpose's metafiles."""
    found = {}
    for path in sorted(folder.glob('*.yml')):
        content = yaml.safe_load(path.read_text(encoding='utf-8')) or {}
        for model in content.get('Models', ()):
            results = model.get('Results') or [{}]
            metrics = results[0].get('Metrics') or {}
            value = metrics.get('AP', metrics.get('Whole AP'))
            if value is not None:
                found[Path(model['Config']).stem] = Published(
                    float(value), results[0]['Dataset'], f'mmpose, {path.name}'
                )
    return found
