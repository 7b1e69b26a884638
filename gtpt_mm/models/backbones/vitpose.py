"""The plain vision transformer of ViTPose."""

# B batch, N image tokens, C channels, (h, w) token grid

import copy
from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gtpt_mm.layers.arch import read_arch
from gtpt_mm.layers.attention import SelfAttention, WindowAttention
from gtpt_mm.layers.expert_mlp import (
    ExpertMLP,
    build_expert_mlp,
    group_by_dataset,
)
from gtpt_mm.layers.knowledge_token import KnowledgeToken
from gtpt_mm.layers.mlp import MLP
from gtpt_mm.layers.patch_embed import ConvPatchEmbed
from gtpt_mm.layers.pos_embed import guess_grid_size, resize_pos_embed
from gtpt_mm.layers.rel_pos import DecomposedRelPos
from gtpt_mm.layers.vit_layer import ViTLayer

PATCH_SIZE = 16


@MODELS.register_module()
class ViTPose(BaseModule):
    """Plain vision transformer: an image to one map of features.

    With ``experts`` it is ViTPose++: parts of its feed-forward networks belong
    to one of several datasets each, and every image says which is its own.

    Source: Xu et al., "ViTPose", NeurIPS 2022, and "ViTPose++", TPAMI 2023.
    Follows the authors' code, whose weights it loads, but for one thing:
    their position table has a first row that is added to every token; here it
    is part of the rows (``gtpt_mm.convert`` adds it to them).

    Args:
        arch: ``'small'``, ``'base'``, ``'large'`` or ``'huge'``; or a dict
            with ``embed_dims``, ``depth`` and ``num_heads``. Small has 12
            heads, not the 6 of DeiT-S.
        img_size: Input size (h, w) in pixels that the position table is made
            for. Another input resizes the table in the forward pass, and a
            checkpoint of another size is resized when it is loaded.
        patch_stride: Distance of two patches in pixels: 16 for features of
            1/16, 8 or 4 for 1/8 and 1/4 from overlapping patches. A patch has
            16 x 16 pixels.
        patch_padding: Pixels of zeros around the image; None takes the
            authors': 2, 4, 6 for the strides 16, 8, 4. With 2 the grid is
            moved by two pixels, and the last two rows and columns of the
            image are not seen.
        mlp_ratio: Width of the feed-forward networks in units of C.
        drop_path_rate: Rate of the last layer; it rises from 0 evenly.
        window_size: Window (h, w) in tokens that attention is restricted to;
            None attends to the whole map.
        shift_windows: Whether every second layer with windows shifts them by
            half their size.
        pool_windows: Whether each window sees the means of all windows, too.
        global_interval: Every n-th layer attends to the whole map; None: no
            layer does. In units of layers: 3 makes 4 of 12 global.
        with_rel_pos: Whether attention knows where tokens are relative to
            each other (``DecomposedRelPos``), in every layer. Starting from
            a checkpoint without them changes nothing at first: they are 0.
        knowledge_dims: Channels of a knowledge token that goes through all
            layers with the image tokens (``KnowledgeToken``): those of the
            teacher it is from. None: no token.
        with_cp: Whether training computes the layers a second time in the
            backward pass instead of keeping what they computed.
        frozen_stages: Number of first layers that are not trained, together
            with the patch embedding; 0 freezes the patch embedding only, -1
            nothing. (The authors' code skips the first layer and freezes the
            next ones.)
        freeze_attn: Whether attention and the norms before it are not
            trained (paper, Table 8).
        freeze_ffn: Whether feed-forward networks, the norms before them, the
            position table and the patch embedding are not trained.
        experts: For several datasets: ``dict(num_experts=6,
            part_features=192)``, see ``build_expert_mlp``; None for one.
        train_only_expert: Index of the only expert that is trained; all else
            is frozen. For a dataset that is added to a trained model.
        init_cfg: Initialisation, see mmengine.

    Raises:
        ValueError: If ``arch`` is unknown, or sizes and options do not fit.

    Example:
        >>> arch = dict(embed_dims=32, depth=2, num_heads=2)
        >>> model = ViTPose(arch, img_size=(64, 48)).eval()
        >>> [features] = model(torch.rand(1, 3, 64, 48))
        >>> features.shape
        torch.Size([1, 32, 4, 3])
    """

    arch_settings = {
        'small': dict(embed_dims=384, depth=12, num_heads=12),
        'base': dict(embed_dims=768, depth=12, num_heads=12),
        'large': dict(embed_dims=1024, depth=24, num_heads=16),
        'huge': dict(embed_dims=1280, depth=32, num_heads=16),
    }

    def __init__(
        self,
        arch: str | dict = 'base',
        img_size: tuple[int, int] = (256, 192),
        patch_stride: int = PATCH_SIZE,
        patch_padding: int | None = None,
        mlp_ratio: float = 4.0,
        drop_path_rate: float = 0.0,
        window_size: tuple[int, int] | None = None,
        shift_windows: bool = False,
        pool_windows: bool = False,
        global_interval: int | None = None,
        with_rel_pos: bool = False,
        knowledge_dims: int | None = None,
        with_cp: bool = False,
        frozen_stages: int = -1,
        freeze_attn: bool = False,
        freeze_ffn: bool = False,
        experts: dict | None = None,
        train_only_expert: int | None = None,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = read_arch(arch, self.arch_settings)
        self.embed_dims = settings['embed_dims']
        self.depth = settings['depth']
        self.with_cp = with_cp
        self.frozen_stages = frozen_stages
        self.freeze_attn = freeze_attn
        self.freeze_ffn = freeze_ffn
        self.experts = experts
        self.train_only_expert = train_only_expert
        self._check(drop_path_rate, patch_stride, img_size)

        if patch_padding is None:
            patch_padding = _authors_padding(patch_stride)
        self.patch_embed = ConvPatchEmbed(
            self.embed_dims, PATCH_SIZE, patch_stride, patch_padding
        )
        self.grid_size = self.patch_embed.grid_size(img_size)
        self.pos_embed = nn.Parameter(
            torch.zeros(
                1, self.grid_size[0] * self.grid_size[1], self.embed_dims
            )
        )
        attentions = self._build_attentions(
            settings['num_heads'],
            window_size,
            shift_windows,
            pool_windows,
            global_interval,
            with_rel_pos,
        )
        self.layers = nn.ModuleList(
            ViTLayer(
                self.embed_dims,
                attn,
                self._build_mlp(int(mlp_ratio * self.embed_dims)),
                drop_path_rate * i / max(self.depth - 1, 1),
            )
            for i, attn in enumerate(attentions)
        )
        self.last_norm = nn.LayerNorm(self.embed_dims, eps=1e-6)
        self._init_own_weights()
        self.knowledge = None
        if knowledge_dims is not None:
            if window_size is not None or with_rel_pos:
                raise ValueError(
                    f'a knowledge token (knowledge_dims={knowledge_dims}) has '
                    'no place on the map, so windows and relative positions '
                    'do not go with it'
                )
            self.knowledge = KnowledgeToken(knowledge_dims, self.embed_dims)
        self._freeze()

    def _check(
        self,
        drop_path_rate: float,
        patch_stride: int,
        img_size: tuple[int, int],
    ) -> None:
        if not 0 <= drop_path_rate < 1:
            raise ValueError(
                f'drop_path_rate must lie in [0, 1), got {drop_path_rate}'
            )
        if patch_stride not in (4, 8, 16):
            raise ValueError(
                f'patch_stride must be 4, 8 or 16, got {patch_stride}'
            )
        if len(img_size) != 2 or min(img_size) < PATCH_SIZE:
            raise ValueError(
                'img_size must be (h, w) in pixels, both at least '
                f'{PATCH_SIZE}, got {img_size}'
            )
        if not -1 <= self.frozen_stages <= self.depth:
            raise ValueError(
                f'frozen_stages must lie in [-1, {self.depth}], the number '
                f'of layers, got {self.frozen_stages}'
            )
        if self.train_only_expert not in (None, *range(self.num_experts)):
            raise ValueError(
                f'train_only_expert={self.train_only_expert}: there are '
                f'{self.num_experts} experts, counted from 0'
            )

    def _build_attentions(
        self,
        num_heads: int,
        window_size: tuple[int, int] | None,
        shift_windows: bool,
        pool_windows: bool,
        global_interval: int | None,
        with_rel_pos: bool,
    ) -> list[nn.Module]:
        """Return the attention of each layer, in windows or global."""
        if window_size is None:
            given = dict(
                shift_windows=shift_windows,
                pool_windows=pool_windows,
                global_interval=global_interval,
            )
            if any(given.values()):
                raise ValueError(
                    f'{given} needs windows; give window_size=(h, w) in tokens'
                )
            global_interval = 1
        elif global_interval is not None and global_interval < 1:
            raise ValueError(
                f'global_interval must be at least 1 or None, got '
                f'{global_interval}'
            )

        def rel_pos(size: tuple[int, int], stretched: bool):
            if not with_rel_pos:
                return None
            head_dims = self.embed_dims // num_heads
            return DecomposedRelPos(head_dims, size, stretched)

        attentions = []
        num_windowed = 0
        for i in range(self.depth):
            if global_interval and (i + 1) % global_interval == 0:
                attentions.append(
                    SelfAttention(
                        self.embed_dims,
                        num_heads,
                        rel_pos(self.grid_size, stretched=True),
                    )
                )
                continue
            shifted = shift_windows and num_windowed % 2 == 1
            attentions.append(
                WindowAttention(
                    self.embed_dims,
                    num_heads,
                    window_size,
                    shifted,
                    pool_windows,
                    rel_pos(window_size, stretched=False),
                    self.grid_size,
                )
            )
            num_windowed += 1
        return attentions

    def _build_mlp(self, hidden_channels: int) -> nn.Module:
        """Return the feed-forward network of a layer."""
        if self.experts is None:
            return MLP(self.embed_dims, hidden_channels)
        return build_expert_mlp(
            self.embed_dims, hidden_channels, **self.experts
        )

    @property
    def num_experts(self) -> int:
        """Number of datasets that have experts; 0 for a plain ViTPose."""
        return 0 if self.experts is None else self.experts['num_experts']

    def _init_own_weights(self) -> None:
        """As the authors: the convolution keeps torch's initialisation."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for layer in self.layers:
            if isinstance(layer.mlp, ExpertMLP):
                layer.mlp.init_experts()

    def _frozen_parts(self) -> list[nn.Module]:
        if self.train_only_expert is not None:
            return [self]
        parts = []
        if self.frozen_stages >= 0 or self.freeze_ffn:
            parts.append(self.patch_embed)
        parts.extend(self.layers[: max(self.frozen_stages, 0)])
        for layer in self.layers:
            if self.freeze_attn:
                parts.extend((layer.attn, layer.norm1))
            if self.freeze_ffn:
                parts.extend((layer.mlp, layer.norm2))
        return parts

    def _freeze(self) -> None:
        for part in self._frozen_parts():
            part.requires_grad_(False)
        if self.freeze_ffn:
            self.pos_embed.requires_grad_(False)
        if self.train_only_expert is not None:
            for layer in self.layers:
                expert = layer.mlp.experts[self.train_only_expert]
                expert.requires_grad_(True)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        """Resize positions of another grid to that of this model.

        Raises:
            ValueError: If it cannot be told which grid they are of.
        """
        name = prefix + 'pos_embed'
        table = state_dict.get(name)
        # Another width is reported as it is of every tensor.
        if table is not None and table.shape[2:] == (self.embed_dims,):
            state_dict[name] = self._fit_positions(table)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _fit_positions(self, table: Tensor) -> Tensor:
        """Return the positions of a checkpoint, (1, N', C), as (1, N, C)."""
        num_rows = table.shape[1]
        grid_size = guess_grid_size(num_rows, like=self.grid_size)
        if grid_size is None:
            raise ValueError(
                f'the position table of the checkpoint has {num_rows} rows: '
                'no grid of this input shape, of 4 : 3 or of 1 : 1. A file '
                'with one more, of another project, needs gtpt-mm convert'
            )
        other = guess_grid_size(num_rows)
        if other not in (None, grid_size):
            print_log(
                f'{num_rows} positions of the checkpoint are taken for the '
                f'grid (h, w) = {grid_size}, the shape of this model; they '
                f'could be one of {other}',
                logger='current',
            )
        if grid_size != self.grid_size:
            print_log(
                f'positions of the checkpoint resized from the grid (h, w) = '
                f'{grid_size} to {self.grid_size}',
                logger='current',
            )
        return resize_pos_embed(table, grid_size, self.grid_size)

    def train(self, mode: bool = True) -> 'ViTPose':
        """Set the mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in self._frozen_parts():
            for module in part.modules():
                module.training = False
        return self

    def forward(
        self, img: Tensor, dataset_idx: Sequence[int] | Tensor | None = None
    ) -> tuple[Tensor]:
        """Return the features of the last layer.

        Args:
            img: Images, (B, 3, H, W), of any size from one patch on.
            dataset_idx: Dataset of each image, B numbers from 0 on; with
                experts only, see ``group_by_dataset``.

        Returns:
            One map, (B, C, h, w), with (h, w) the patch grid.

        Raises:
            ValueError: If ``dataset_idx`` is missing, or there are no
                experts for it.
        """
        if (dataset_idx is None) != (self.experts is None):
            raise ValueError(
                f'dataset_idx={dataset_idx} for {self.num_experts} experts: '
                'give one for each image exactly if there are experts. In a '
                'model, MultiDatasetPoseEstimator does it'
            )
        if dataset_idx is None:
            return self._encode(img)
        counts, order = group_by_dataset(dataset_idx, self.num_experts)
        if sum(counts) != len(img):
            raise ValueError(
                f'{sum(counts)} dataset_idx for {len(img)} images'
            )
        if order is None:
            return self._encode(img, counts)
        order = torch.tensor(order, device=img.device)
        [x] = self._encode(img[order], counts)  # grouped by dataset
        return (x[order.argsort()],)

    def _encode(self, img: Tensor, *mlp_args) -> tuple[Tensor]:
        """Encode; ``mlp_args`` go to the feed-forward networks."""
        x, grid_size = self.patch_embed(img)  # (B, N, C)
        x = x + resize_pos_embed(self.pos_embed, self.grid_size, grid_size)
        num_tokens = x.shape[1]
        if self.knowledge is not None:
            x = self.knowledge(x)  # (B, N + 1, C)
        for layer in self.layers:
            if self.with_cp and self.training and torch.is_grad_enabled():
                x = checkpoint(
                    layer, x, grid_size, *mlp_args, use_reentrant=False
                )
            else:
                x = layer(x, grid_size, *mlp_args)
        x = self.last_norm(x[:, :num_tokens])
        return (x.transpose(1, 2).unflatten(2, grid_size),)  # (B, C, h, w)

    def select_expert(self, expert: int) -> 'ViTPose':
        """Return the plain ViTPose that does what one dataset's images get.

        Args:
            expert: Index of the dataset.

        Returns:
            A copy with plain feed-forward networks; its features are those
            of this model, at the cost of a ViTPose. (Experts of the kind
            ``'shared'`` give it twice the ``mlp_ratio``.)

        Raises:
            ValueError: If there is no such expert.

        Example:
            >>> arch = dict(embed_dims=32, depth=2, num_heads=2)
            >>> model = ViTPose(arch, (64, 48), experts=dict(num_experts=3))
            >>> dense = model.select_expert(1)
            >>> ViTPose(arch, (64, 48)).load_state_dict(dense.state_dict())
            <All keys matched successfully>
        """
        if not 0 <= expert < self.num_experts:
            raise ValueError(
                f'no expert {expert}: there are {self.num_experts}, counted '
                'from 0'
            )
        merged = {
            id(layer.mlp): layer.mlp.merge(expert) for layer in self.layers
        }
        dense = copy.deepcopy(self, merged)  # copies all but the experts
        dense.experts = dense.train_only_expert = None
        dense.requires_grad_(True)._freeze()
        return dense.train(self.training)

    def get_layer_depth(
        self, param_name: str, prefix: str = ''
    ) -> tuple[int, int]:
        """Return how deep a parameter lies, for layer-wise learning rates.

        Args:
            param_name: Name of the parameter, with ``prefix`` in front.
            prefix: Path of this backbone in the model, such as ``backbone.``.

        Returns:
            The depth: 0 for what makes the tokens, i + 1 for layer i, the
            largest for all else; and the number of depths.
        """
        num_depths = self.depth + 2
        first, _, rest = param_name.removeprefix(prefix).partition('.')
        if not param_name.startswith(prefix):
            return num_depths - 1, num_depths
        if first in ('pos_embed', 'patch_embed'):
            return 0, num_depths
        if first == 'layers':
            return int(rest.partition('.')[0]) + 1, num_depths
        return num_depths - 1, num_depths

    def no_weight_decay(self) -> set[str]:
        """Return the parameters with several axes that should not decay."""
        return {'pos_embed', 'knowledge.token'} | {
            name for name, _ in self.named_parameters() if '.rel_pos.' in name
        }


def _authors_padding(patch_stride: int) -> int:
    """Return the padding that goes with a stride in the authors' code."""
    ratio = PATCH_SIZE // patch_stride
    return 4 + 2 * (ratio // 2 - 1)
