"""Split a ViTPose++ into its datasets, and add a dataset to it.

``split_state_dict`` works on weights, ``split_config`` on configs, and
``split_model`` on a model with both; ``gtpt-mm split`` calls them.
"""

import copy
import re

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.registry import MODELS
from torch import Tensor, nn

from gtpt_mm.layers.expert_mlp import merge_expert

from .vitpose import DATASETS, count_experts, find_datasets
from .vitpose.native import HEADS

#: Allowed names of datasets: they also name heads, files and config keys.
_NAME = re.compile(r'\w[\w+-]*')
_EXPERT = re.compile(r'(.*\bmlp\.experts\.)(\d+)\.(.+)')


def check_dataset_name(name: str) -> None:
    """Check that a dataset may have this name.

    A model has a head of that name, and ``gtpt-mm split`` writes files of that
    name.

    Raises:
        ValueError: If it is empty, has characters other than letters, digits,
            ``_``, ``-`` and ``+``, or is a name that torch uses.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f'the name of a dataset consists of letters, digits, _, - and +, '
            f'got {name!r}'
        )
    if hasattr(nn.ModuleDict(), name):
        raise ValueError(
            f'no dataset can be called {name!r}: torch uses this name in the '
            'module of the heads; choose another one'
        )


def split_state_dict(
    state_dict: dict[str, Tensor], dataset: str
) -> dict[str, Tensor]:
    """Return the weights of the plain model for one dataset of a ViTPose++.

    Its outputs equal those of the ViTPose++ for this dataset.

    Args:
        state_dict: A native ViTPose++, or any model with several heads.
        dataset: Name of one of its datasets.

    Raises:
        ValueError: If there are no heads of several datasets, or none for
            this dataset, or its experts are unknown.
    """
    heads = find_datasets(state_dict)
    num_experts = count_experts(state_dict)
    if not heads:
        raise ValueError(
            'nothing to split: this is a plain ViTPose, or a ViTPose++ that '
            'was split before; it holds the weights of one dataset, so leave '
            'the dataset out'
        )
    if dataset not in heads:
        raise ValueError(
            f'no head of {dataset!r}; this checkpoint has heads of {heads}'
        )
    if num_experts:
        index = find_expert(heads, num_experts, dataset)
        state_dict = merge_expert(state_dict, index)
    head = f'{HEADS}{dataset}.'
    return {
        key.replace(head, 'head.', 1): value
        for key, value in state_dict.items()
        if key.startswith(head) or not key.startswith(HEADS)
    }


def find_expert(heads: list[str], num_experts: int, dataset: str) -> int:
    """Return the index of the expert of a dataset.

    Heads are in the order of the experts. A file with fewer heads than experts
    (from transformers) has the experts of the released models.
    """
    if heads == sorted(DATASETS):
        raise ValueError(
            f'the heads are in alphabetical order, {heads}, as another '
            "program's .safetensors has them; the experts were not: give the "
            'file of torch.save that it was made of'
        )
    if len(heads) == num_experts:
        return heads.index(dataset)
    if num_experts == len(DATASETS) and set(heads) <= set(DATASETS):
        return DATASETS.index(dataset)
    raise ValueError(
        f'{num_experts} experts and heads of {heads}: the expert of '
        f'{dataset!r} is unknown'
    )


def split_config(cfg: Config, name: str) -> Config:
    """Return the config of the plain model for one dataset of a ViTPose++.

    The model is a ``TopdownPoseEstimator`` with a plain ViTPose; loaders and
    metric belong to the dataset. mmpose's inferencer and tools take it.

    Args:
        cfg: Config of a model of several datasets.
        name: Name of the dataset.

    Raises:
        ValueError: If the config has only one dataset, lacks this one, or
            lacks a part of it.
    """
    try:
        return _split_config(copy.deepcopy(cfg), name)
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(
            f'the config cannot be split, a part of {name!r} is missing: '
            f'{error}'
        ) from error


def _split_config(cfg: Config, name: str) -> Config:
    """Change a config into that of one dataset."""
    model = cfg.model
    names = model.head.get('names')
    if names is None:
        raise ValueError(
            f'the head is a {model.head.type}; only a MultiDatasetHead has '
            'several datasets'
        )
    if name not in names:
        raise ValueError(f'there is no dataset {name!r} among {list(names)}')
    check_dataset_name(name)
    test_cfg = model.get('test_cfg', {})
    options = test_cfg.pop('datasets', {}).get(name, {})
    test_cfg.pop('dataset', None)
    model.test_cfg = {**test_cfg, **options}
    model.type = 'TopdownPoseEstimator'
    # Not update(), which would merge.
    model.head = {**model.head.get('shared', {}), **model.head.heads[name]}
    experts = model.backbone.pop('experts', None)
    if experts and experts.get('kind') == 'is':  # two networks side by side
        model.backbone.mlp_ratio = 2 * model.backbone.get('mlp_ratio', 4.0)
    for split in ('train', 'val', 'test'):
        _keep_one_dataset(cfg, split, name)
    # MMPoseInferencer reads these two.
    cfg.dataset_type = cfg.test_dataloader.dataset.type
    cfg.data_mode = 'topdown'
    for option in ('save_best', 'rule'):  # the best of another dataset
        cfg.default_hooks.checkpoint.pop(option, None)
    if 'custom_hooks' in cfg:  # they name parts of the other model
        cfg.custom_hooks = [
            hook for hook in cfg.custom_hooks if hook.type != 'FreezeHook'
        ]
    cfg.load_from = None
    cfg.resume = False
    return cfg


def _keep_one_dataset(cfg: Config, split: str, name: str) -> None:
    loader = cfg[f'{split}_dataloader']
    if name not in loader.dataset.datasets:
        # A model with more datasets than its last training.
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


def split_model(
    model: BasePoseEstimator, cfg: Config, name: str
) -> BasePoseEstimator:
    """Return the plain model for one dataset of a ViTPose++.

    Args:
        model: A ``MultiDatasetPoseEstimator``, as ``init_model`` returns it.
        cfg: Its config.
        name: Name of the dataset.

    Returns:
        A ``TopdownPoseEstimator`` in evaluation mode, with copies of the
        weights on the device of ``model``, its config in ``cfg`` and its
        skeleton in ``dataset_meta``. It costs as much as a ViTPose.

    Raises:
        ValueError: See ``split_config``.
    """
    single = split_config(cfg, name)
    init_default_scope(single.get('default_scope', 'mmpose'))
    plain = MODELS.build(single.model)
    plain.load_state_dict(split_state_dict(model.state_dict(), name))
    plain.cfg = single
    metainfos = getattr(model, 'dataset_meta', None) or {}
    plain.dataset_meta = metainfos.get('datasets', {}).get(
        name
    ) or dataset_meta_from_config(single)
    return plain.to(next(model.parameters()).device).eval()


def add_dataset(
    state_dict: dict[str, Tensor], name: str, like: str
) -> dict[str, Tensor]:
    """Return weights with one more dataset, to continue a training.

    The new experts and the new head start as those of another dataset,
    except the last layer of the head, which has other keypoints: a model that
    loads the weights initialises it at random.

    Args:
        state_dict: Weights of a model of several datasets; not changed.
        name: Name of the new dataset, which comes after the others.
        like: Name of the dataset that resembles it most.

    Returns:
        All weights and the new ones.

    Raises:
        ValueError: If experts and heads differ in number, the name is taken
            or cannot be a name, or ``like`` is none of the datasets.
    """
    check_dataset_name(name)
    names = find_datasets(state_dict)
    num_experts = count_experts(state_dict)
    if not names or num_experts != len(names):
        raise ValueError(
            f'experts of {num_experts} datasets and heads for {names}: this '
            'is not a model of several datasets'
        )
    if name in names or like not in names:
        raise ValueError(
            f'the datasets are {names}: the new one needs another name, got '
            f'{name!r}, and must be like one of them, got {like!r}'
        )
    source, head = names.index(like), f'{HEADS}{like}.'
    added = {}
    for key, value in state_dict.items():
        expert = _EXPERT.fullmatch(key)
        if expert and int(expert[2]) == source:
            added[f'{expert[1]}{num_experts}.{expert[3]}'] = value.clone()
        if key.startswith(head) and '.final_layer.' not in key:
            added[key.replace(head, f'{HEADS}{name}.', 1)] = value.clone()
    return {**state_dict, **added}
