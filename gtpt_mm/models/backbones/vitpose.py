"""The plain vision transformer of ViTPose."""

# B batch, N image tokens, C channels, (h, w) token grid

from math import prod

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gtpt_mm.layers.arch import read_arch
from gtpt_mm.layers.attention import build_attentions
from gtpt_mm.layers.expert_mlp import ExpertMLP
from gtpt_mm.layers.knowledge_token import KnowledgeToken
from gtpt_mm.layers.mlp import MLP
from gtpt_mm.layers.patch_embed import ConvPatchEmbed
from gtpt_mm.layers.pos_embed import guess_grid_size, resize_pos_embed
from gtpt_mm.layers.vit_layer import ViTLayer

PATCH_SIZE = 16
#: Zeros around the image in the official code, by the stride of the patches.
OFFICIAL_PADDING = {16: 2, 8: 4, 4: 6}


@MODELS.register_module()
class ViTPose(BaseModule):
    """Plain vision transformer: maps an image to one feature map.

    With ``experts`` it is ViTPose++: parts of its feed-forward networks are
    specific to one of several datasets.

    Source: Xu et al., "ViTPose", NeurIPS 2022, and "ViTPose++", TPAMI 2023.
    It follows the official code and loads its weights, with one difference:
    the official position table has a first row that is added to every token;
    here the other rows include it (``gtpt_mm.convert`` adds it).

    Args:
        arch: ``'small'``, ``'base'``, ``'large'`` or ``'huge'``; or a dict
            with ``embed_dims``, ``depth`` and ``num_heads``. Small has 12
            heads, not the 6 of DeiT-S.
        img_size: Input size (h, w) in pixels of the position table. Another
            input resizes the table in the forward pass, and a checkpoint of
            another size is resized when it is loaded.
        patch_stride: Distance between neighbouring patches in pixels: 16 for
            features of 1/16, 8 or 4 for 1/8 and 1/4 from overlapping patches.
            A patch has 16 x 16 pixels.
        patch_padding: Pixels of zeros around the image; None takes the
            official 2, 4, 6 for the strides 16, 8, 4. A padding of 2 moves
            the grid by two pixels, and the last two rows and columns of the
            image are in no patch.
        mlp_ratio: Width of the feed-forward networks in units of C.
        drop_path_rate: Rate of the last layer; it rises from 0 evenly.
        attention: Windows and relative positions, see ``build_attentions``:
            ``dict(window_size=(8, 8), shift=True, pool=True,
            global_interval=3, rel_pos=True)``. None: every token attends to
            the whole map.
        knowledge_dims: Channels of a knowledge token, equal to those of its
            teacher; it passes through all layers with the image tokens
            (``KnowledgeToken``). None: no token.
        with_cp: Whether the backward pass recomputes the layers instead of
            storing their activations.
        experts: For several datasets: ``dict(num_experts=6,
            part_features=192)``, see ``ExpertMLP``; None for one.
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
        attention: dict | None = None,
        knowledge_dims: int | None = None,
        with_cp: bool = False,
        experts: dict | None = None,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        _check(drop_path_rate, patch_stride, img_size)
        settings = read_arch(arch, self.arch_settings)
        self.embed_dims = settings['embed_dims']
        self.depth = settings['depth']
        self.with_cp = with_cp
        self.experts = experts
        if patch_padding is None:
            patch_padding = OFFICIAL_PADDING[patch_stride]
        self.patch_embed = ConvPatchEmbed(
            self.embed_dims, PATCH_SIZE, patch_stride, patch_padding
        )
        self.grid_size = self.patch_embed.grid_size(img_size)
        self.pos_embed = nn.Parameter(
            torch.zeros(1, prod(self.grid_size), self.embed_dims)
        )
        attention = attention or {}
        attentions = build_attentions(
            **settings, grid_size=self.grid_size, **attention
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
        self._init_layers()
        self.knowledge = None
        if knowledge_dims is not None:
            if any(attention.values()):
                raise ValueError(
                    f'a knowledge token (knowledge_dims={knowledge_dims}) has '
                    'no position on the map, so it cannot be combined with '
                    f'windows or relative positions, got {attention}'
                )
            self.knowledge = KnowledgeToken(knowledge_dims, self.embed_dims)

    def _build_mlp(self, hidden_channels: int) -> nn.Module:
        """Return the feed-forward network of a layer."""
        if self.experts is None:
            return MLP(self.embed_dims, hidden_channels)
        return ExpertMLP(self.embed_dims, hidden_channels, **self.experts)

    @property
    def num_experts(self) -> int:
        """Number of datasets that have experts; 0 for a plain ViTPose."""
        return 0 if self.experts is None else self.experts['num_experts']

    def _init_layers(self) -> None:
        """Initialise as the official code; the convolution as torch."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for module in self.layers.modules():
            if isinstance(module, ExpertMLP):
                module.init_experts()

    def forward(
        self, img: Tensor, counts: tuple[int, ...] | None = None
    ) -> tuple[Tensor]:
        """Return the features of the last layer.

        Args:
            img: Images, (B, 3, H, W), of any size from one patch on. With
                experts they are grouped by dataset, see ``group_by_dataset``.
            counts: Images of each dataset, numbers that add up to B; required
                with experts, and only then.

        Returns:
            One map, (B, C, h, w), with (h, w) the patch grid.

        Raises:
            ValueError: If ``counts`` does not fit the experts or the images.
        """
        if len(counts or ()) != self.num_experts:
            raise ValueError(
                f'counts={counts} for {self.num_experts} experts: each has '
                'one number. In a model, MultiDatasetPoseEstimator gives them'
            )
        if counts is not None and sum(counts) != len(img):
            raise ValueError(f'{counts=} for {len(img)} images')
        mlp_args = () if counts is None else (counts,)
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

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: object
    ) -> None:
        """Resize positions of another grid to the grid of this model.

        Raises:
            ValueError: If the number of positions does not determine a grid.
        """
        name = prefix + 'pos_embed'
        table = state_dict.get(name)
        # load_state_dict reports a different width, as for any tensor.
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
                f'{num_rows} positions of the checkpoint are read as the '
                f'grid (h, w) = {grid_size}, the shape of this model; they '
                f'could be {other}',
                logger='current',
            )
        if grid_size != self.grid_size:
            print_log(
                f'positions of the checkpoint resized from the grid (h, w) = '
                f'{grid_size} to {self.grid_size}',
                logger='current',
            )
        return resize_pos_embed(table, grid_size, self.grid_size)

    def get_parts(self) -> dict[str, list[nn.Module | nn.Parameter]]:
        """Return the parts that ``FreezeHook`` can name besides modules.

        ``attn`` and ``ffn`` are attention and feed-forward networks of all
        layers, with the norms before them (paper, Table 8), ``experts.0`` ...
        the experts of a dataset in all layers.
        """
        parts: dict[str, list[nn.Module | nn.Parameter]] = {
            'attn': [m for la in self.layers for m in (la.norm1, la.attn)],
            'ffn': [m for la in self.layers for m in (la.norm2, la.mlp)],
        }
        mlps = [m for m in self.layers.modules() if isinstance(m, ExpertMLP)]
        for e in range(self.num_experts):
            parts[f'experts.{e}'] = [mlp.experts[e] for mlp in mlps]
        return parts

    def get_layer_depth(
        self, param_name: str, prefix: str = ''
    ) -> tuple[int, int]:
        """Return the depth of a parameter, for layer-wise learning rate decay.

        Args:
            param_name: Name of the parameter, with ``prefix`` in front.
            prefix: Path of this backbone in the model, such as ``backbone.``.

        Returns:
            The depth: 0 for patches and positions, i + 1 for layer i, the
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
        """Return the parameters of two or more axes without weight decay."""
        return {'pos_embed', 'knowledge.token'} | {
            name for name, _ in self.named_parameters() if '.rel_pos.' in name
        }


def _check(
    drop_path_rate: float, patch_stride: int, img_size: tuple[int, int]
) -> None:
    if not 0 <= drop_path_rate < 1:
        raise ValueError(
            f'drop_path_rate must lie in [0, 1), got {drop_path_rate}'
        )
    if patch_stride not in OFFICIAL_PADDING:
        raise ValueError(
            f'patch_stride must be 4, 8 or 16, got {patch_stride}'
        )
    if len(img_size) != 2 or min(img_size) < PATCH_SIZE:
        raise ValueError(
            'img_size must be (h, w) in pixels, both at least '
            f'{PATCH_SIZE}, got {img_size}'
        )
