"""Feed-forward networks with a part for each of several datasets."""

# B batch, N image tokens, C channels, H hidden channels, P channels that
# belong to an expert, E experts, one for each dataset

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

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
        dataset_idx: Dataset of each sample, B numbers from 0 on. A tensor on
            a GPU waits for the device once, Python numbers do not.
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


class ExpertMLP(nn.Module, ABC):
    """Base of the feed-forward networks with experts.

    Samples come grouped by dataset, so the share of an expert is a slice of
    the batch, and each expert runs on the samples of its dataset only. (The
    authors run every expert on every sample and mask; results and gradients
    are equal.) Where gradients are recorded, experts without samples run on
    an empty slice and get a gradient of zero: DDP needs a gradient for every
    parameter on every rank.

    A state dict of a plain network, such as a ViTPose or its MAE weights,
    loads into all experts as the paper initialises them, see the subclasses.
    """

    experts: nn.ModuleList

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_pre_hook(_spread_on_load)

    @abstractmethod
    def init_experts(self) -> None:
        """Initialise the experts as the paper does, after a random start."""

    @abstractmethod
    def spread(self, dense: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a state dict that starts from a plain network.

        Args:
            dense: Weights and biases of an ``MLP``.
        """

    def run_experts(self, x: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Run each expert on its slice of the batch, (B, N, ...)."""
        run_all = torch.is_grad_enabled()
        outputs = [
            expert(part)
            for expert, part in zip(self.experts, x.split(counts), strict=True)
            if run_all or len(part)
        ]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


class PartialExpertMLP(ExpertMLP):
    """The last P channels come from experts, the rest is shared (PS-FFN).

        h = GELU(fc1(x)),  out = concat[fc2(h), experts_k(h)]   (Eqs. 10-11)

    Source: Xu et al., "ViTPose++", Sec. 3.5. The paper writes ReLU; the
    authors' code, whose weights we load, has GELU. From a plain network the
    last P rows of its second layer go to every expert.

    Args:
        in_channels: Channels C of the input and the output.
        hidden_channels: Channels H between the layers.
        num_experts: Number of datasets E.
        part_features: Channels P of the output that an expert makes; C / 4
            in the paper.

    Raises:
        ValueError: If ``part_features`` does not lie in 1 ... C - 1.

    Example:
        >>> mlp = PartialExpertMLP(32, 128, num_experts=3, part_features=8)
        >>> mlp(torch.rand(5, 12, 32), counts=(2, 0, 3)).shape
        torch.Size([5, 12, 32])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        num_experts: int,
        part_features: int,
    ) -> None:
        super().__init__()
        if not 0 < part_features < in_channels:
            raise ValueError(
                f'part_features must lie in [1, {in_channels - 1}], one less '
                f'than the channels, got {part_features}'
            )
        self.fc1 = nn.Linear(in_channels, hidden_channels)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_channels, in_channels - part_features)
        self.experts = nn.ModuleList(
            nn.Linear(hidden_channels, part_features)
            for _ in range(num_experts)
        )

    def forward(self, x: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Return the transformed tokens.

        Args:
            x: Tokens grouped by dataset, (B, N, C).
            counts: Samples of each dataset, E numbers that add up to B.

        Returns:
            Tokens, (B, N, C).
        """
        x = self.act(self.fc1(x))  # (B, N, H)
        parts = self.fc2(x), self.run_experts(x, counts)
        return torch.cat(parts, dim=-1)  # (B, N, C - P) and (B, N, P)

    def init_experts(self) -> None:
        """Keep the random weights, as the authors do."""

    def spread(self, dense: dict[str, Tensor]) -> dict[str, Tensor]:
        """Share the first rows of the second layer, copy the last."""
        state = {f'fc1.{leaf}': dense[f'fc1.{leaf}'] for leaf in _LEAVES}
        for leaf in _LEAVES:
            rows = dense[f'fc2.{leaf}']
            state[f'fc2.{leaf}'] = rows[: self.fc2.out_features]
            for e in range(len(self.experts)):
                last = rows[self.fc2.out_features :].clone()
                state[f'experts.{e}.{leaf}'] = last
        return state


class IndependentExpertMLP(ExpertMLP):
    """A network for each dataset and nothing shared (I-FFN).

    Source: Xu et al., "ViTPose++", Sec. 4.4.1, an ablation without code of
    the authors. All start with the same weights.

    Args:
        in_channels: Channels C of the input and the output.
        hidden_channels: Channels H between the layers.
        num_experts: Number of datasets E.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, num_experts: int
    ) -> None:
        super().__init__()
        self.experts = nn.ModuleList(
            MLP(in_channels, hidden_channels) for _ in range(num_experts)
        )

    def forward(self, x: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Return the transformed tokens, see ``PartialExpertMLP``."""
        return self.run_experts(x, counts)

    def init_experts(self) -> None:
        """Give every expert the weights of the first."""
        self.load_state_dict(self.spread(self.experts[0].state_dict()))

    def spread(self, dense: dict[str, Tensor]) -> dict[str, Tensor]:
        """Copy the network to every expert."""
        return {
            f'experts.{e}.{name}': value.clone()
            for e in range(len(self.experts))
            for name, value in dense.items()
        }


class SharedExpertMLP(ExpertMLP):
    """A network for all and one for each dataset, added (IS-FFN).

    Source: Xu et al., "ViTPose++", Sec. 4.4.1, an ablation without code of
    the authors. The paper starts the experts "with zero". A network that is
    zero in both layers has no gradient but in its last bias and would never
    learn, so here only the second layer starts at zero: the output is zero,
    too. The first layer starts as the shared one.

    Args:
        in_channels: Channels C of the input and the output.
        hidden_channels: Channels H between the layers of each network.
        num_experts: Number of datasets E.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, num_experts: int
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_channels, hidden_channels)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_channels, in_channels)
        self.experts = nn.ModuleList(
            MLP(in_channels, hidden_channels) for _ in range(num_experts)
        )

    def forward(self, x: Tensor, counts: tuple[int, ...]) -> Tensor:
        """Return the transformed tokens, see ``PartialExpertMLP``."""
        shared = self.fc2(self.act(self.fc1(x)))
        return shared + self.run_experts(x, counts)

    def init_experts(self) -> None:
        """Let every expert add zero."""
        shared = {
            name: value
            for name, value in self.state_dict().items()
            if not name.startswith('experts.')
        }
        self.load_state_dict(self.spread(shared))

    def spread(self, dense: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take the network as the shared one; every expert adds zero."""
        state = dict(dense)
        for e in range(len(self.experts)):
            for name, value in dense.items():
                is_last = name.startswith('fc2.')
                state[f'experts.{e}.{name}'] = (
                    torch.zeros_like(value) if is_last else value.clone()
                )
        return state


_LEAVES = ('weight', 'bias')
_DENSE = tuple(
    f'{layer}.{leaf}' for layer in ('fc1', 'fc2') for leaf in _LEAVES
)
#: By the paper's names: partially shared, independent, independent + shared.
EXPERT_MLPS = {
    'ps': PartialExpertMLP,
    'i': IndependentExpertMLP,
    'is': SharedExpertMLP,
}


def build_expert_mlp(
    in_channels: int,
    hidden_channels: int,
    num_experts: int,
    kind: str = 'ps',
    part_features: int | None = None,
) -> ExpertMLP:
    """Build a feed-forward network with experts.

    Args:
        in_channels: Channels C of the input and the output.
        hidden_channels: Channels H between the layers.
        num_experts: Number of datasets E.
        kind: ``'ps'`` (PS-FFN of ViTPose++), ``'i'`` (I-FFN) or ``'is'``
            (IS-FFN).
        part_features: Channels P of an expert; None: C / 4. Requires
            ``kind='ps'``.

    Raises:
        ValueError: If ``kind`` is unknown or options do not go together.
    """
    if kind not in EXPERT_MLPS:
        raise ValueError(
            f'unknown kind of experts {kind!r}, choose one of '
            f'{sorted(EXPERT_MLPS)}'
        )
    if num_experts < 1:
        raise ValueError(f'num_experts must be at least 1, got {num_experts}')
    options = {}
    if kind == 'ps':
        if part_features is None:
            part_features = in_channels // 4
        options['part_features'] = part_features
    elif part_features is not None:
        raise ValueError(
            f"part_features={part_features} requires kind='ps'; {kind!r} "
            'experts make all channels'
        )
    return EXPERT_MLPS[kind](
        in_channels, hidden_channels, num_experts, **options
    )


def merge_expert(
    state_dict: dict[str, Tensor], expert: int
) -> dict[str, Tensor]:
    """Return the weights of the plain networks that one dataset's samples use.

    A plain network gives the same outputs as the shared part and one expert:
    the expert's rows stand below the shared ones (PS-FFN), it is the network
    (I-FFN), or its hidden channels stand beside the shared ones (IS-FFN,
    2 H hidden channels).

    Args:
        state_dict: An ``ExpertMLP``, or a model that contains some.
        expert: Index of the dataset.

    Returns:
        The state dict with an ``MLP`` in place of each ``ExpertMLP``.

    Raises:
        ValueError: If there is no such expert.

    Example:
        >>> mlp = PartialExpertMLP(32, 128, num_experts=3, part_features=8)
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
    for leaf in _LEAVES:
        if leaf in expert:  # PS-FFN
            parts = shared[f'fc2.{leaf}'], expert[leaf]
            joined[f'fc2.{leaf}'] = torch.cat(parts)
        else:  # IS-FFN
            parts = shared[f'fc1.{leaf}'], expert[f'fc1.{leaf}']
            joined[f'fc1.{leaf}'] = torch.cat(parts)
    if 'weight' not in expert:
        parts = shared['fc2.weight'], expert['fc2.weight']
        joined['fc2.weight'] = torch.cat(parts, 1)
        joined['fc2.bias'] = shared['fc2.bias'] + expert['fc2.bias']
    return joined


def _select(state_dict: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors behind a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in state_dict.items()
        if name.startswith(prefix)
    }


def _spread_on_load(
    module: ExpertMLP,
    state_dict: dict[str, Tensor],
    prefix: str,
    *_: object,
) -> None:
    """Start all experts from the weights of a plain network."""
    if set(_select(state_dict, prefix)) == set(_DENSE):
        dense = {name: state_dict.pop(prefix + name) for name in _DENSE}
        for name, value in module.spread(dense).items():
            state_dict[prefix + name] = value
