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
    """Which sample of a batch belongs to which dataset.

    Attributes:
        counts: Samples of each dataset, E numbers that add up to B.
        order: Places of the samples in order of their dataset, B numbers;
            None if they are in that order already.
    """

    counts: tuple[int, ...]
    order: list[int] | None


def group_by_dataset(
    dataset_idx: Sequence[int] | Tensor, num_datasets: int
) -> DatasetGroups:
    """Group the samples of a batch by their dataset.

    Args:
        dataset_idx: Dataset of each sample, B numbers from 0 on. Numbers of
            Python cost nothing; a tensor on a GPU waits for it, once.
        num_datasets: Number of datasets E.

    Returns:
        Sizes of the groups and the order that brings them together.

    Raises:
        ValueError: If a number is outside 0 ... E - 1.

    Example:
        >>> group_by_dataset([2, 0, 2], num_datasets=3)
        DatasetGroups(counts=(1, 0, 2), order=[1, 0, 2])
    """
    if isinstance(dataset_idx, Tensor):
        dataset_idx = dataset_idx.tolist()
    wrong = [idx for idx in dataset_idx if not 0 <= idx < num_datasets]
    if wrong:
        raise ValueError(
            f'dataset_idx must lie in [0, {num_datasets - 1}], the number of '
            f'experts less one; got {wrong[0]}'
        )
    counts = tuple(dataset_idx.count(k) for k in range(num_datasets))
    order = sorted(range(len(dataset_idx)), key=dataset_idx.__getitem__)
    return DatasetGroups(counts, None if order == sorted(order) else order)


class ExpertMLP(nn.Module, ABC):
    """Base of the feed-forward networks with experts.

    Samples come grouped by dataset, so that the share of an expert is a slice
    of the batch and each runs on its own samples only. (The authors run every
    expert on every sample and mask; results and gradients are equal.)
    Where gradients are recorded, experts without samples run on none, and
    have a gradient of zero: distributed training needs one of everybody.

    A state dict of a plain network, as of a ViTPose or of its MAE weights,
    loads into all experts as the paper has it, see the subclasses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_pre_hook(_spread_on_load)

    @abstractmethod
    def init_experts(self) -> None:
        """Start the experts as the paper has it, after a random start."""

    @abstractmethod
    def merge(self, expert: int) -> MLP:
        """Return a plain network that does what one dataset's samples get."""

    @abstractmethod
    def spread(self, dense: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the state dict of a start from a plain network's.

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
        own = self.run_experts(x, counts)  # (B, N, P)
        return torch.cat([self.fc2(x), own], dim=-1)

    def init_experts(self) -> None:
        """Leave the experts at random numbers, as the authors do."""

    def merge(self, expert: int) -> MLP:
        """Return the network of one dataset; its weights are the same."""
        own = self.experts[expert]
        return _make_mlp(
            self.fc1.weight,
            self.fc1.bias,
            torch.cat([self.fc2.weight, own.weight]),
            torch.cat([self.fc2.bias, own.bias]),
        )

    def spread(self, dense: dict[str, Tensor]) -> dict[str, Tensor]:
        """Share the first rows of the second layer, copy the last."""
        state = {f'fc1.{leaf}': dense[f'fc1.{leaf}'] for leaf in _LEAVES}
        for leaf in _LEAVES:
            rows = dense[f'fc2.{leaf}']
            state[f'fc2.{leaf}'] = rows[: self.fc2.out_features]
            for e in range(len(self.experts)):
                own = rows[self.fc2.out_features :].clone()
                state[f'experts.{e}.{leaf}'] = own
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

    def merge(self, expert: int) -> MLP:
        """Return the network of one dataset: its expert."""
        own = self.experts[expert]
        return _make_mlp(
            own.fc1.weight, own.fc1.bias, own.fc2.weight, own.fc2.bias
        )

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

    def merge(self, expert: int) -> MLP:
        """Return one network with 2 H hidden channels that does the same."""
        own = self.experts[expert]
        return _make_mlp(
            torch.cat([self.fc1.weight, own.fc1.weight]),
            torch.cat([self.fc1.bias, own.fc1.bias]),
            torch.cat([self.fc2.weight, own.fc2.weight], dim=1),
            self.fc2.bias + own.fc2.bias,
        )

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
#: Names of the paper, in words.
EXPERT_MLPS = {
    'partial': PartialExpertMLP,
    'independent': IndependentExpertMLP,
    'shared': SharedExpertMLP,
}


def build_expert_mlp(
    in_channels: int,
    hidden_channels: int,
    num_experts: int,
    kind: str = 'partial',
    part_features: int | None = None,
) -> ExpertMLP:
    """Build a feed-forward network with experts.

    Args:
        in_channels: Channels C of the input and the output.
        hidden_channels: Channels H between the layers.
        num_experts: Number of datasets E.
        kind: ``'partial'`` (PS-FFN, that of ViTPose++), ``'independent'``
            (I-FFN) or ``'shared'`` (IS-FFN).
        part_features: Channels P of an expert; of ``'partial'`` only, where
            None takes C / 4.

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
    if kind == 'partial':
        if part_features is None:
            part_features = in_channels // 4
        options['part_features'] = part_features
    elif part_features is not None:
        raise ValueError(
            f'part_features={part_features} is of partial experts; '
            f'{kind} ones make all channels, leave it out'
        )
    return EXPERT_MLPS[kind](
        in_channels, hidden_channels, num_experts, **options
    )


def _make_mlp(
    weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor
) -> MLP:
    """Return a plain network with copies of these weights."""
    hidden_channels, in_channels = weight1.shape
    mlp = MLP(in_channels, hidden_channels).to(weight1)
    values = (weight1, bias1, weight2, bias2)
    mlp.load_state_dict(dict(zip(_DENSE, values, strict=True)))
    return mlp


def _spread_on_load(
    module: ExpertMLP, state_dict: dict[str, Tensor], prefix: str, *_
) -> None:
    """Turn a plain network's weights into a start of all experts."""
    names = [name for name in state_dict if name.startswith(prefix)]
    if set(names) == {prefix + name for name in _DENSE}:
        dense = {name: state_dict.pop(prefix + name) for name in _DENSE}
        for name, value in module.spread(dense).items():
            state_dict[prefix + name] = value
