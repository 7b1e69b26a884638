"""GTPT with other choices: the ablations of the paper's Tables 3 to 8.

Each class changes one choice of ``GTPT`` and takes the same arguments.
Inheritance combines several, as in ``UngroupedGTPT``.
"""

# B batch, M image tokens, C channels

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from mmpose.registry import MODELS
from torch import Tensor

from gtpt_mm.layers.group_attention import GroupTransformerLayer
from gtpt_mm.layers.tokens import TokenLayout, Tokens
from gtpt_mm.models import GTPT
from gtpt_mm.models.backbones import Step
from gtpt_mm.models.backbones.gtpt_plan import Trace
from gtpt_mm.models.backbones.keypoint_groups import KeypointGroups, Stage

from .groups import AblatedGroups


class _GroupVariant(GTPT):
    """A GTPT with ``AblatedGroups``."""

    share_sparse = True
    displace = True

    def _create_groups(self, groups: Sequence[dict]) -> KeypointGroups:
        return AblatedGroups(groups, self.share_sparse, self.displace)


@MODELS.register_module()
class MHSAGTPT(_GroupVariant):
    """A group attends only to its own sparse keypoints (Table 4)."""

    share_sparse = False


@MODELS.register_module()
class AddedDenseGTPT(_GroupVariant):
    """Dense keypoints are added to the image tokens and displace none.

    Every group has as many rows for them as the largest group; unused rows are
    padding.
    """

    displace = False

    def _dense_tokens(self, keypoints: Tensor) -> Sequence[Tensor]:
        width = self.groups.max_dense
        return [
            F.pad(dense, (0, 0, 0, width - dense.shape[1]))
            for dense in super()._dense_tokens(keypoints)
        ]


@MODELS.register_module()
class MaskFreeGTPT(GTPT):
    """All groups see the same image tokens, without masks (Table 3)."""

    def _create_group_mask(self) -> None:
        return None

    def _mask(self, image: Tokens, patches: Tensor, chosen: Tensor) -> Tokens:
        return image


@MODELS.register_module()
class UngroupedGTPT(MaskFreeGTPT, AddedDenseGTPT):
    """No masks, dense keypoints added: for one group (Tables 3, 4 and 6)."""


@MODELS.register_module()
class SparseDenseGTPT(_GroupVariant):
    """Part and sparse tokens from the first layer on (Table 5)."""

    def _create_tokens(self) -> None:
        super()._create_tokens()
        del self.human_token

    def _first_tokens(self) -> Tensor:
        return self._sparse_tokens()

    def _make_plan(self, num_keeps: Sequence[int]) -> list[Step]:
        return [
            step._replace(
                stage=_skip_human(step.stage),
                next_stage=_skip_human(step.next_stage),
            )
            for step in super()._make_plan(num_keeps)
        ]


def _skip_human(stage: Stage) -> Stage:
    return Stage.SPARSE if stage is Stage.HUMAN else stage


@MODELS.register_module()
class DenseGTPT(SparseDenseGTPT):
    """All keypoint tokens from the first layer on (Table 5).

    Each dense keypoint is a part of its own and keeps the token of that part.
    """

    def _create_groups(self, groups: Sequence[dict]) -> KeypointGroups:
        parts = KeypointGroups(groups)
        return super()._create_groups(
            [
                dict(sparse=sparse, parts=[[index] for index in dense])
                for sparse, dense in zip(
                    parts.group_sparse, parts.group_dense, strict=True
                )
            ]
        )

    def _create_tokens(self) -> None:
        super()._create_tokens()
        if self.groups.num_parts:
            del self.part_embed

    def _sparse_tokens(self) -> Tensor:
        if not self.groups.num_parts:
            return self.sparse_embed
        return torch.cat((self.dense_embed, self.sparse_embed), dim=1)

    def _dense_tokens(self, keypoints: Tensor) -> Sequence[Tensor]:
        dense = keypoints[:, : self.groups.num_parts]
        return dense.split(self.groups.num_dense, dim=1)


@cache
def every_row(kind: type[GTPT]) -> type[GTPT]:
    """Return a GTPT that computes unused rows.

    These are the queries of tokens about to be dropped, and the image tokens
    in the last layer. The official code computes them, with equal results;
    the operation counts are then those of the paper.
    """
    return type(f'EveryRow{kind.__name__}', (_EveryRow, kind), {})


class _EveryRow(GTPT):
    def _make_plan(self, num_keeps: Sequence[int]) -> list[Step]:
        *plan, last = super()._make_plan(num_keeps)
        return [*plan, last._replace(next_stage=Stage.DENSE)]

    def _attend(
        self,
        layer: GroupTransformerLayer,
        layout: TokenLayout,
        tokens: Tokens,
        qkv: tuple[Tensor, Tensor, Tensor],
        rows: Tensor | None,
    ) -> Tokens:
        tokens = super()._attend(layer, layout, tokens, qkv, None)
        return tokens if rows is None else tokens.select(rows)

    def _encode(
        self, tokens: Tokens, plan: Sequence[Step], note: Trace | None = None
    ) -> Tokens:
        tokens = super()._encode(tokens, plan, note)
        if plan and plan[-1].layer == self.depth:
            return self._select_keypoints(tokens)
        return tokens
