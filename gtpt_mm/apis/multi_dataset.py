"""From a model of several datasets to one of one, or of one more."""

import copy
import re

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torch import Tensor, nn

_EXPERT = re.compile(r'(backbone\.layers\.\d+\.mlp\.experts\.)(\d+)\.(.+)')
_HEAD = re.compile(r'head\.heads\.([^.]+)\.(.+)')


def make_single_config(cfg: Config, name: str) -> Config:
    """Return the config of one dataset out of those of a ViTPose++.

    The model is a ``TopdownPoseEstimator`` with a plain ViTPose, loaders and
    metric are those of the dataset: what mmpose's inferencer and tools take.

    Args:
        cfg: Config of a model of several datasets.
        name: Name of the dataset.

    Raises:
        ValueError: If the config is of one dataset, or has none of the name.
    """
    cfg = copy.deepcopy(cfg)
    names = cfg.model.head.get('names')
    if names is None:
        raise ValueError(
            f'the head is a {cfg.model.head.type}; only a MultiDatasetHead '
            'has several datasets'
        )
    if name not in names:
        raise ValueError(f'there is no dataset {name!r} among {list(names)}')
    head = {
        **cfg.model.head.get('shared', {}),
        **cfg.model.head.heads[name],
    }
    test_cfg = cfg.model.get('test_cfg', {})
    own = test_cfg.pop('datasets', {}).get(name, {})
    test_cfg.pop('dataset', None)
    cfg.model.test_cfg = {**test_cfg, **own}
    cfg.model.type = 'TopdownPoseEstimator'
    cfg.model.head = head  # no update(): it would merge
    _drop_experts(cfg.model.backbone)
    for split in ('train', 'val', 'test'):
        _keep_one_dataset(cfg, split, name)
    # MMPoseInferencer reads these two.
    cfg.dataset_type = cfg.test_dataloader.dataset.type
    cfg.data_mode = 'topdown'
    for option in ('save_best', 'rule'):  # the best of another dataset
        cfg.default_hooks.checkpoint.pop(option, None)
    cfg.load_from = None
    cfg.resume = False
    return cfg


def _drop_experts(backbone: dict) -> None:
    experts = backbone.pop('experts', None)
    backbone.pop('train_only_expert', None)
    if experts and experts.get('kind') == 'shared':
        # Two networks side by side.
        backbone['mlp_ratio'] = 2 * backbone.get('mlp_ratio', 4.0)


def _keep_one_dataset(cfg: Config, split: str, name: str) -> None:
    loader = cfg[f'{split}_dataloader']
    if name not in loader.dataset.datasets:
        # A model of more datasets than it was last trained with.
        if split != 'train':
            raise ValueError(
                f'{split}_dataloader has no {name!r}, only '
                f'{list(loader.dataset.datasets)}'
            )
        for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
            cfg[key] = None
        cfg.param_scheduler = None
        return
    loader.dataset = loader.dataset.datasets[name]
    if split == 'train':
        loader.sampler = dict(type='DefaultSampler', shuffle=True)
    else:
        metric = cfg[f'{split}_evaluator'].metrics[name]
        cfg[f'{split}_evaluator'] = {**metric, 'prefix': name}


def select_dataset(model: nn.Module, cfg: Config, name: str) -> nn.Module:
    """Return the plain model that does what one dataset's samples get.

    Experts are merged into the shared layers; nothing is computed that a
    ViTPose would not.

    Args:
        model: A ``MultiDatasetPoseEstimator``, as ``init_model`` returns it.
        cfg: Its config.
        name: Name of the dataset.

    Returns:
        A ``TopdownPoseEstimator`` in evaluation mode, with copies of the
        weights, and its config in ``cfg``.

    Raises:
        ValueError: See ``make_single_config``.
    """
    single = make_single_config(cfg, name)
    init_default_scope(single.get('default_scope', 'mmpose'))
    dense = MODELS.build(single.model)
    backbone = model.backbone
    if model.num_experts:
        backbone = backbone.select_expert(model.head.names.index(name))
    dense.backbone.load_state_dict(backbone.state_dict())
    dense.head.load_state_dict(model.head.heads[name].state_dict())
    dense.cfg = single
    return dense.eval()


def add_dataset(
    state_dict: dict[str, Tensor], name: str, like: str
) -> dict[str, Tensor]:
    """Return the weights for one dataset more, to go on training with.

    The new experts and the new head start as those of another dataset, but
    for the head's last layer, which has other keypoints: it is left out, and
    a model that loads the weights starts it at random.

    Args:
        state_dict: Weights of a model of several datasets; left as they are.
        name: Name of the new dataset, which comes after the others.
        like: Name of the dataset that it is most like.

    Returns:
        All weights and the new ones.

    Raises:
        ValueError: If there are no experts and heads of as many datasets, the
            name is taken, or ``like`` is none of the datasets.
    """
    heads = [m[1] for m in map(_HEAD.fullmatch, state_dict) if m]
    names = list(dict.fromkeys(heads))
    experts = {int(m[2]) for m in map(_EXPERT.fullmatch, state_dict) if m}
    if not names or len(experts) != len(names):
        raise ValueError(
            f'experts of {len(experts)} datasets and heads for {names}: this '
            'is no model of several datasets'
        )
    if name in names or like not in names:
        raise ValueError(
            f'the datasets are {names}: the new one needs another name, got '
            f'{name!r}, and must be like one of them, got {like!r}'
        )
    source = names.index(like)
    added = {}
    for key, value in state_dict.items():
        expert, head = _EXPERT.fullmatch(key), _HEAD.fullmatch(key)
        if expert and int(expert[2]) == source:
            added[f'{expert[1]}{len(names)}.{expert[3]}'] = value.clone()
        is_last = head and head[2].startswith('final_layer.')
        if head and head[1] == like and not is_last:
            added[f'head.heads.{name}.{head[2]}'] = value.clone()
    return {**state_dict, **added}
