"""Feed-forward networks with experts, one for each of several datasets."""

# B batch, N image tokens, C channels, H hidden channels, P channels that
# belong to an expert, E experts, one for each dataset

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gtpt_mm.layers.mlp import MLP


class DatasetGroups(NamedTuple):
    """The samples of a batch, grouped by their dataset.

    Attributes:
        counts: Samples of each dataset, E numbers that add up to B.
        order: Indices of the samples in order of their dataset, B numbers;
            None if the batch is in that order.
    """

    counts: tuple[int, ...]
    order: list[int] | None

    def sort(self, batch: Tensor) -> Tensor:
        """Return the samples (B, ...) in order of their dataset."""
        if self.order is None:
            return batch
        return batch[torch.tensor(self.order, device=batch.device)]

    def sort_list(self, batch: Sequence) -> list:
        """Return a list of B items in order of their dataset."""
        return [batch[i] for i in self.order or range(len(batch))]

    def unsort_list(self, batch: Sequence) -> list:
        """Undo ``sort_list``."""
        items = dict(zip(self.order or range(len(batch)), batch, strict=True))
        return [items[i] for i in range(len(batch))]


def group_by_dataset(
    dataset_idx: Sequence[int] | Tensor, num_datasets: int
) -> DatasetGroups:
    """Group the samples of a batch by their dataset.

    Args:
        dataset_idx: Dataset of each sample, B numbers from 0 on. Reading a
            tensor on a GPU waits for the device once; Python numbers avoid
            this.
        num_datasets: Number of datasets E.

    Raises:
        ValueError: If a number is outside 0 ... E - 1.

    Example:
        >>> groups = group_by_dataset([2, 0, 2], num_datasets=3)
        >>> groups
        DatasetGroups(counts=(1, 0, 2), order=[1, 0, 2])
        >>> groups.unsort_list(groups.sort_list('abc'))
        ['a', 'b', 'c']
    """
    if isinstance(dataset_idx, Tensor):
        dataset_idx = dataset_idx.tolist()
    wrong = [idx for idx in dataset_idx if not 0 <= idx < num_datasets]
    if wrong:
        raise ValueError(
            f'dataset_idx={wrong[0]}: there are {num_datasets} datasets, '
            'counted from 0'
        )
    counts = tuple(dataset_idx.count(k) for k in range(num_datasets))
    order = sorted(range(len(dataset_idx)), key=dataset_idx.__getitem__)
    return DatasetGroups(counts, None if order == sorted(order) else order)


def check_dataset_names(
    samples: Iterable[dict], names: Sequence[str], owner: str
) -> None:
    """Raise if samples and their receiver number the datasets differently.

    Args:
        samples: Metainfo of each sample, as ``MultiDataset`` stamps it:
            ``dataset_idx``, ``dataset_name``, ``dataset_names``. A sample
            without names, made by hand, is not checked.
        names: Names of the receiver's datasets, in its order.
        owner: Name of the receiver, for the message.

    Raises:
        ValueError: If a ``dataset_idx`` stands for another dataset here.

    Example:
        >>> sample = dict(dataset_idx=1, dataset_name='aic')
        >>> sample['dataset_names'] = ('coco', 'aic')
        >>> check_dataset_names([sample], ('coco', 'aic', 'mpii'), 'the head')
    """
    for sample in samples:
        given = sample.get('dataset_names')
        if given is None:
            continue
        idx, name = sample['dataset_idx'], sample['dataset_name']
        if list(names[idx : idx + 1]) != [name]:
            raise ValueError(
                f'dataset {idx} is {name!r} in the names of MultiDataset, '
                f'{list(given)}, but not in those of {owner}, '
                f'{list(names)}; write the same list in both'
            )


#: Tensors of an ``MLP``.
_DENSE = ('fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias')
#: The paper's names: partially shared, independent, independent and shared.
KINDS = ('ps', 'i', 'is')


class ExpertMLP(nn.Module):
    """Feed-forward network with an expert for each of several datasets.

    With h = GELU(fc1(x)) and expert k of the dataset of a sample:

        PS-FFN    out = concat[fc2(h), experts_k(h)]            (Eqs. 10-11)
        I-FFN     out = experts_k(x)
        IS-FFN    out = fc2(h) + experts_k(x)

    An expert of PS-FFN is one linear layer that makes the last P channels; the
    other two kinds have whole networks as experts.

    Source: Xu et al., "ViTPose++", Sec. 3.5 and, for I-FFN and IS-FFN, Sec.
    4.4.1, without official code. The paper writes ReLU; the official code,
    whose weights we load, has GELU. It runs every expert on every sample and
    masks; here each runs on its samples only, with equal results and
    gradients.

    A state dict of a plain ``MLP``, such as a ViTPose or its MAE weights,
    loads into all experts as the paper initialises them: the last P rows of
    the second layer (PS-FFN) or the whole network go to every expert. The
    paper initialises the experts of IS-FFN "with zero". With both layers at
    zero only the last bias would have a gradient, so here only the second
    layer is zero; the expert still adds zero.

    Args:
        in_channels: Channels C of the input and the output.
        hidden_channels: Channels H between the layers.
        num_experts: Number of datasets E.
        kind: ``'ps'`` (ViTPose++), ``'i'`` or ``'is'``.
        part_features: Channels P of an expert, for ``'ps'`` only; None: C / 4
            as in the paper.

    Raises:
        ValueError: If a value is out of range or options do not go together.

    Example:
        >>> mlp = ExpertMLP(32, 128, num_experts=3, part_features=8)
        >>> mlp(torch.rand(5, 12, 32), counts=(2, 0, 3)).shape
        torch.Size([5, 12, 32])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        num_experts: int,
        kind: str = 'ps',
        part_features: int | None = None,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(
                f'unknown kind of experts {kind!r}, choose one of {KINDS}'
            )
        if num_experts < 1:
            raise ValueError(
                f'num_experts must be at least 1, got {num_experts}'
            )
        if kind != 'ps' and part_features is not None:
            raise ValueError(
                f"part_features={part_features} requires kind='ps', got "
                f'{kind!r}'
            )
        if part_features is None:
            part_features = in_channels // 4 if kind == 'ps' else 0
        if kind == 'ps' and not 0 < part_features < in_channels:
            raise ValueError(
                f'part_features must lie in [1, {in_channels - 1}], one less '
                f'than the channels, got {part_features}'
            )
        self.kind = kind
        self.num_shared = in_channels - part_features
        if kind != 'i':
            self.fc1 = nn.Linear(in_channels, hidden_channels)
            self.act = nn.GELU()
            self.fc2 = nn.Linear(hidden_channels, self.num_shared)
        self.experts = nn.ModuleList(
            nn.Linear(hidden_channels, part_features)
            if kind == 'ps'
            else MLP(in_channels, hidden_channels)
            for _ in range(num_experts)
        )

    def forward(self, x: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Return the transformed tokens, (B, N, C).

        Args:
            x: Tokens grouped by dataset, (B, N, C).
            counts: Samples of each dataset, E numbers that add up to B.
        """
        if self.kind == 'i':
            return self._run_experts(x, counts)
        h = self.act(self.fc1(x))  # (B, N, H)
        if self.kind == 'ps':
            parts = self.fc2(h), self._run_experts(h, counts)
            return torch.cat(parts, -1)  # (B, N, C - P) and (B, N, P)
        return self.fc2(h) + self._run_experts(x, counts)

    def _run_experts(self, x: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Run each expert on its slice of the batch.

        Where gradients are recorded, experts without samples run on an empty
        slice and get a gradient of zero: DDP needs a gradient for every
        parameter on every rank.
        """
        run_all = torch.is_grad_enabled()
        outputs = [
            expert(part)
            for expert, part in zip(self.experts, x.split(counts), strict=True)
            if run_all or len(part)
        ]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def init_experts(self) -> None:
        """Initialise the experts as in the paper, on top of a random start.

        The experts of PS-FFN stay random, as in the official code.
        """
        if self.kind == 'i':
            self.load_state_dict(self.spread(self.experts[0].state_dict()))
        elif self.kind == 'is':
            state = self.state_dict()
            self.load_state_dict(self.spread({n: state[n] for n in _DENSE}))

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any
    ) -> None:
        """Start all experts from the weights of a plain network."""
        # Not a hook: torch before 2.5 has no public way to register one.
        if set(_select(state_dict, prefix)) == set(_DENSE):
            dense = {name: state_dict.pop(prefix + name) for name in _DENSE}
            for name, value in self.spread(dense).items():
                state_dict[prefix + name] = value
        super()._load_from_state_dict(state_dict, prefix, *args)

    def spread(self, dense: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a state dict initialised from that of an ``MLP``."""
        state = {} if self.kind == 'i' else dict(dense)
        for e in range(len(self.experts)):
            for name, value in dense.items():
                layer, _, leaf = name.partition('.')
                if self.kind != 'ps':
                    is_zero = self.kind == 'is' and layer == 'fc2'
                    state[f'experts.{e}.{name}'] = (
                        torch.zeros_like(value) if is_zero else value.clone()
                    )
                elif layer == 'fc2':
                    state[name] = value[: self.num_shared]
                    rows = value[self.num_shared :].clone()
                    state[f'experts.{e}.{leaf}'] = rows
        return state


def merge_expert(
    state_dict: dict[str, Tensor], expert: int
) -> dict[str, Tensor]:
    """Return the weights of plain networks for the samples of one dataset.

    The rows of the expert follow the shared ones (PS-FFN), the expert replaces
    the network (I-FFN), or its hidden channels follow the shared ones
    (IS-FFN, 2 H hidden channels). The outputs are the same.

    Args:
        state_dict: An ``ExpertMLP``, or a model that contains some.
        expert: Index of the dataset.

    Returns:
        The state dict with an ``MLP`` in place of each ``ExpertMLP``.

    Raises:
        ValueError: If there is no such expert.

    Example:
        >>> mlp = ExpertMLP(32, 128, num_experts=3)
        >>> MLP(32, 128).load_state_dict(merge_expert(mlp.state_dict(), 2))
        <All keys matched successfully>
    """
    names = [name for name in state_dict if 'experts.' in name]
    prefixes = tuple({name.partition('experts.')[0] for name in names})
    merged = {
        name: value
        for name, value in state_dict.items()
        if not name.startswith(prefixes)
    }
    for prefix in prefixes:
        mlp = _select(state_dict, prefix)
        expert_mlp = _select(mlp, f'experts.{expert}.')
        if not expert_mlp:
            raise ValueError(f'there is no expert {expert} in {prefix!r}')
        shared = {n: v for n, v in mlp.items() if not n.startswith('experts.')}
        for name, value in _merge(shared, expert_mlp).items():
            merged[prefix + name] = value
    return merged


def _merge(
    shared: dict[str, Tensor], expert: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Join the weights that all datasets share and those of one expert."""
    if not shared:  # I-FFN
        return expert
    joined = dict(shared)
    if 'weight' in expert:  # PS-FFN
        for leaf, value in expert.items():
            joined[f'fc2.{leaf}'] = torch.cat((shared[f'fc2.{leaf}'], value))
        return joined
    for name, dim in (('fc1.weight', 0), ('fc1.bias', 0), ('fc2.weight', 1)):
        joined[name] = torch.cat((shared[name], expert[name]), dim)  # IS-FFN
    joined['fc2.bias'] = shared['fc2.bias'] + expert['fc2.bias']
    return joined


def _select(state_dict: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors behind a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in state_dict.items()
        if name.startswith(prefix)
    }
