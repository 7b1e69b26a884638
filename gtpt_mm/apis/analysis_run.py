"""Results to analyze: from a test that runs once, or from files."""

# N instances, K keypoints

import copy
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import DATASETS

from .analysis import Analysis, analyze_results, check_truth, read_json
from .model_names import load_model, resolve

#: File of the metainfo of a set, beside its annotation files.
METAINFO = 'metainfo.py'
_numbers = itertools.count()


@dataclass(frozen=True)
class Source:
    """Description of a set, from its config or its files.

    Attributes:
        metainfo: Parsed metainfo.
        ann_file: COCO's annotation file; '' if the set has none.
        image_folder: Folder of the pictures.
    """

    metainfo: dict
    ann_file: str
    image_folder: str


def analyze_model(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    dataset: str | None = None,
) -> Analysis:
    """Test a model on the test set of its config, once, and analyze it.

    Args:
        config: Path or name of a config of mmpose, or a config.
        checkpoint: File, URL or name of the weights; None for the public
            ones.
        dataset: For a ViTPose++, one of its datasets.

    Raises:
        ValueError: If the config does not have a single 2D test set.
    """
    cfg, _ = resolve(config, checkpoint, dataset)
    _check_has_test(cfg)
    model = load_model(config, checkpoint, 'cpu', dataset)
    with tempfile.TemporaryDirectory() as folder:
        runner = _make_runner(cfg, folder)
        runner.model.load_state_dict(model.state_dict())
        del model
        loop = runner.test_loop
        source = _describe(loop.dataloader.dataset)
        metric = _find_metric(loop.evaluator.metrics)
        if metric is None:
            collector = Collector()
            loop.evaluator.metrics.append(collector)
            runner.test()
            return Analysis(*collector.found, source.metainfo)
        metric.outfile_prefix = str(Path(folder) / 'analysis')
        runner.test()
        return _analyze(metric, source)


def analyze_config(
    config: str | Path | Config,
    results: str | Path,
    dataset: str | None = None,
) -> Analysis:
    """Analyze a file of results of the test set of a config.

    Args:
        config: Path or name of a config of mmpose, or a config.
        results: COCO's file of results.
        dataset: For a ViTPose++, one of its datasets.

    Raises:
        ValueError: If the set has no annotation file of COCO.
    """
    cfg, _ = resolve(config, 'random', dataset)
    _check_has_test(cfg)
    source = _describe(_build_lazily(cfg))
    metric = cfg.get('test_evaluator') or cfg.val_evaluator
    metric = metric[0] if isinstance(metric, list | tuple) else metric
    given = {k: metric[k] for k in ('iou_type', 'use_area') if k in metric}
    ann_file = metric.get('ann_file') or source.ann_file
    return analyze_results(
        ann_file, results, source.metainfo, source.image_folder, **given
    )


def analyze_files(
    ann_file: str | Path,
    results: str | Path,
    metainfo: str | Path | None = None,
    image_folder: str | Path | None = None,
) -> Analysis:
    """Analyze a file of results with an annotation file.

    Args:
        ann_file: COCO's annotation file.
        results: COCO's file of results.
        metainfo: Metainfo file, or the name of a dataset of mmpose such as
            ``CrowdPoseDataset``; None takes ``metainfo.py`` beside the
            annotations, else COCO's if the names of the keypoints match.
        image_folder: Folder of the pictures; None takes ``images`` beside
            the annotations if there is one, else their own folder.

    Raises:
        ValueError: If the metainfo is unknown.
    """
    folder = Path(ann_file).parent
    truth = read_json(ann_file)
    check_truth(truth, ann_file)
    if image_folder is None:
        image_folder = folder
        if (folder / 'images').is_dir():
            image_folder = folder / 'images'
    return analyze_results(
        truth, results, _find_metainfo(truth, ann_file, metainfo), image_folder
    )


def _find_metainfo(
    truth: dict, ann_file: str | Path, given: str | Path | None
) -> dict:
    beside = Path(ann_file).parent / METAINFO
    if given is None and beside.is_file():
        given = beside
    if given is not None and Path(given).is_file():
        return parse_pose_metainfo(dict(from_file=str(given)))
    init_default_scope('mmpose')
    if given is not None:
        dataset = DATASETS.get(str(given))
        if dataset is None or not hasattr(dataset, 'METAINFO'):
            raise ValueError(
                f'--metainfo {given} is neither a file nor a dataset of '
                'mmpose such as CrowdPoseDataset'
            )
        return parse_pose_metainfo(dataset.METAINFO)
    coco = parse_pose_metainfo(DATASETS.get('CocoDataset').METAINFO)
    names = (truth.get('categories') or [{}])[0].get('keypoints')
    if names and list(names) == list(coco['keypoint_id2name'].values()):
        return coco
    raise ValueError(
        f'the keypoints of {ann_file} are '
        f'{", ".join(names) if names else "not named"}, not those of COCO: '
        f'their sigmas are needed; give --metainfo FILE, or put {METAINFO} '
        'beside the annotations'
    )


def _check_has_test(cfg: Config) -> None:
    if not cfg.get('test_dataloader') and not cfg.get('val_dataloader'):
        raise ValueError(
            f'{cfg.filename or "the config"} has no test_dataloader, so there '
            'is nothing to test on; give the config of a training'
        )


def _make_runner(cfg: Config, folder: str) -> Runner:
    """Return a runner that tests and writes to no other place."""
    cfg = copy.deepcopy(cfg)
    if not cfg.get('test_dataloader'):
        cfg.test_dataloader = cfg.val_dataloader
        cfg.test_evaluator, cfg.test_cfg = cfg.val_evaluator, {}
    for key in ('dataloader', 'cfg'):
        cfg[f'train_{key}'] = cfg[f'val_{key}'] = None
    cfg.val_evaluator = cfg.optim_wrapper = cfg.param_scheduler = None
    cfg.experiment_name = f'analysis_{next(_numbers)}'  # shared otherwise
    cfg.work_dir, cfg.load_from, cfg.resume = folder, None, False
    # The weights are final: no averages, freezing or drawings.
    cfg.custom_hooks, cfg.visualizer = [], None
    cfg.default_hooks = dict(param_scheduler=None, checkpoint=None)
    return Runner.from_cfg(cfg)


def _find_metric(metrics: Sequence[BaseMetric]) -> CocoMetric | None:
    """Return the metric that reads COCO's results; None for another kind."""
    found = [metric for metric in metrics if isinstance(metric, CocoMetric)]
    if len(found) > 1:
        raise ValueError(
            f'the config tests on {len(found)} sets; analyze one at a time: '
            'give a config with one test set'
        )
    return found[0] if found else None


def _analyze(metric: CocoMetric, source: Source) -> Analysis:
    """Analyze the results and annotations that a metric has evaluated."""
    path = Path(f'{metric.outfile_prefix}.keypoints.json')
    if metric.coco is None or not path.is_file():
        raise ValueError(
            f'{type(metric).__name__} of the test set has written no '
            "annotations and results in COCO's format"
        )
    truth = dict(metric.coco.dataset)
    truth['annotations'] = list(metric.coco.anns.values())
    return Analysis(
        truth,
        read_json(path),
        _fit(metric.dataset_meta),
        source.image_folder,
        metric.iou_type,
        metric.use_area,
    )


def _fit(metainfo: dict) -> dict:
    """Return metainfo that names as many keypoints as it has sigmas.

    A metric that converts keypoints changes only their number.
    """
    number = len(metainfo['sigmas'])
    if len(metainfo['keypoint_id2name']) == number:
        return metainfo
    names = {k: f'keypoint {k}' for k in range(number)}
    return dict(sigmas=metainfo['sigmas'], keypoint_id2name=names)


def _build_lazily(cfg: Config) -> Any:
    """Return the test set without its samples."""
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    loader = cfg.get('test_dataloader') or cfg.val_dataloader
    given = dict(copy.deepcopy(loader['dataset']), lazy_init=True)
    given['pipeline'] = []
    try:
        return DATASETS.build(given)
    except TypeError as error:
        raise ValueError(
            f'the test set of {cfg.filename} is a {given["type"]}, which has '
            'no annotation file of its own; give the annotation file in '
            'place of the config'
        ) from error


def _describe(dataset: Any) -> Source:
    prefix = getattr(dataset, 'data_prefix', None) or {}
    return Source(
        metainfo=dict(dataset.metainfo),
        ann_file=str(getattr(dataset, 'ann_file', '') or ''),
        image_folder=str(prefix.get('img', '')),
    )


class Collector(BaseMetric):
    """Keep annotations and predictions of any set in COCO's form.

    For sets whose metric is not COCO's, such as PCK: the annotations are
    those of the samples.
    """

    default_prefix = 'analysis'

    def __init__(self) -> None:
        super().__init__()
        self.found: tuple[dict, list[dict]] = ({}, [])

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the parts of each sample that an analysis needs."""
        for sample in data_samples:
            gt, pred = sample['gt_instances'], sample['pred_instances']
            for name, part in (('gt_instances', gt), ('predictions', pred)):
                shape = np.shape(part.get('keypoints', ()))
                if len(shape) != 3 or shape[2] != 2:
                    raise ValueError(
                        f'the {name} of the test set have keypoints of shape '
                        f'{shape}; only poses in two dimensions, (N, K, 2), '
                        'can be analyzed'
                    )
            self.results.append(_describe_sample(sample, gt, pred))

    def compute_metrics(self, results: list[dict]) -> dict:
        """Arrange the samples as COCO's files; return no metrics."""
        sizes = {one['image']: one['size'] for one in results}
        ids = {name: number for number, name in enumerate(sorted(sizes), 1)}
        images = [
            dict(id=i, file_name=n, width=sizes[n][0], height=sizes[n][1])
            for n, i in ids.items()
        ]
        parts: dict[str, list[dict]] = dict(annotations=[], results=[])
        for one in results:
            for key, entries in parts.items():
                for entry in one[key]:
                    given = dict(id=len(entries) + 1, category_id=1)
                    given['image_id'] = ids[one['image']]
                    entries.append(entry | given)
        truth = dict(
            images=images,
            annotations=parts['annotations'],
            categories=[dict(id=1, name='instance')],
        )
        self.found = (truth, parts['results'])
        return {}


def _describe_sample(sample: dict, gt: dict, pred: dict) -> dict:
    """Return the picture, annotations and results of a sample."""
    scores = np.asarray(pred['keypoint_scores'], float)
    box_scores = gt.get('bbox_scores')
    if box_scores is None or len(box_scores) != len(scores):
        box_scores = np.ones(len(scores))
    height, width = sample.get('ori_shape', (1, 1))[:2]
    raw = sample.get('raw_ann_info')
    if isinstance(raw, list):  # bottom-up: packed labels are transformed
        annotations = [dict(ann) for ann in raw if ann]
    else:
        annotations = _read_packed(gt)
    return dict(
        image=str(sample.get('img_path', sample.get('img_id'))),
        size=(int(width), int(height)),
        annotations=annotations,
        results=[
            dict(keypoints=triples, score=float(score))
            for score, triples in zip(
                scores.mean(1) * box_scores,
                _join(pred['keypoints'], scores),
                strict=True,
            )
        ],
    )


def _read_packed(gt: dict) -> list[dict]:
    """Return the annotations that a sample carries."""
    visible = np.asarray(gt['keypoints_visible'])
    visible = 2 * (visible.reshape(*visible.shape[:2], -1)[..., 0] > 0)
    boxes = np.array(gt['bboxes'], float)
    boxes[:, 2:] -= boxes[:, :2]
    triples = _join(gt['keypoints'], visible)
    return [
        dict(iscrowd=0, bbox=box, keypoints=one)
        for box, one in zip(boxes.tolist(), triples, strict=True)
    ]


def _join(points: np.ndarray, values: np.ndarray) -> list:
    """Return x, y and a value of each keypoint, N lists of 3 K."""
    triples = np.concatenate([points, values[..., None]], -1)
    return triples.reshape(len(triples), -1).tolist()
