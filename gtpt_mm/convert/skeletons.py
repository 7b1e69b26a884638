"""Transfer weights from one skeleton to another, by keypoint names.

Some tensors have rows for keypoints: the last layer of a head, GTPT's tokens,
Group Pose's queries. These rows are moved to the index of the keypoint of the
same name in the model; everything else in the checkpoint stays as it is.
"""

# U units of rows: keypoints, or parts and groups of them

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mmpose.models.heads import AssociativeEmbeddingHead
from torch import Tensor, nn

from gtpt_mm.datasets.keypoint_names import match_names
from gtpt_mm.models.backbones.keypoint_groups import (
    COCO_BODY_GROUPS,
    KeypointGroups,
)

NEW = ('random', 'neighbours')
#: Tensors with one or more rows for each keypoint: heads of heatmaps, SimCC
#: and regression, and Group Pose.
_HEADS = re.compile(
    r'head\.(deconv_head\.|simplebaseline_head\.)?final_layer2?\..+'
    r'|head\.fc\.(weight|bias)'
    r'|head\.decoder\.queries\.keypoints\.weight'
)
_PROPOSER = re.compile(r'head\.proposer\.mlp\.layers\.(\d+)\.(weight|bias)')
#: Sources of a keypoint, by its name.
_Sources = Mapping[str, tuple[str, ...]]
#: Tokens of GTPT, and the layer that masks its groups.
SPARSE, DENSE = 'backbone.sparse_embed', 'backbone.dense_embed'
PARTS = 'backbone.part_embed'
MASK = 'backbone.group_mask.2'
TOKENS = (SPARSE, DENSE, PARTS, f'{MASK}.weight', f'{MASK}.bias')


class Row(NamedTuple):
    """Where the rows of a keypoint come from.

    Attributes:
        keypoint: Name in the model.
        sources: Names in the checkpoint; several are averaged.
        how: ``'copied'``, ``'averaged'`` or ``'new'``.
    """

    keypoint: str
    sources: tuple[str, ...]
    how: str


class Transferred(NamedTuple):
    """Weights for another skeleton; as text, the table of its keypoints.

    Attributes:
        state_dict: All weights of the checkpoint, with the model's keypoints.
        rows: One for each keypoint of the model.
        tensors: Names of the tensors whose rows were rearranged.
    """

    state_dict: dict[str, Tensor]
    rows: list[Row]
    tensors: list[str]

    def __str__(self) -> str:
        cells = [
            ('keypoint', 'in the checkpoint', 'rows'),
            *((r.keypoint, ', '.join(r.sources) or '-', r.how)
              for r in self.rows),
        ]  # fmt: skip
        first, second = (max(len(c[i]) for c in cells) for i in (0, 1))
        return '\n'.join(
            f'{a:<{first}}  {b:<{second}}  {c}' for a, b, c in cells
        )


class _Rows(NamedTuple):
    """Rows of a tensor.

    Attributes:
        units: Keypoints of each unit; a unit has one row or several.
        dim: Dimension of the rows.
        by_block: Whether the rows of a unit are U apart, not consecutive.
        merged: Whether a unit is a part or group of keypoints.
    """

    units: list[tuple[str, ...]]
    dim: int = 0
    by_block: bool = False
    merged: bool = False

    def split(self, name: str, tensor: Tensor) -> Tensor:
        """Return the rows of each unit, (U, rows of a unit, ...)."""
        x, num = tensor.movedim(self.dim, 0), len(self.units)
        if len(x) % num:
            raise ValueError(
                f'{name} has {len(x)} rows, which cannot be those of {num} '
                f'keypoints: {", ".join(unit[0] for unit in self.units)}'
            )
        if self.by_block:
            return x.unflatten(0, (-1, num)).transpose(0, 1)
        return x.unflatten(0, (num, -1))

    def join(self, x: Tensor) -> Tensor:
        """Undo :meth:`split`."""
        if self.by_block:
            x = x.transpose(0, 1)
        return x.flatten(0, 1).movedim(0, self.dim).contiguous()

    def find(self, unit: tuple[str, ...], sources: _Sources) -> list[int]:
        """Return the units of this layout whose rows a new unit takes."""
        origins = [name for target in unit for name in sources.get(target, ())]
        if not self.merged:
            index = {own[0]: i for i, own in enumerate(self.units)}
            return [index[name] for name in origins if name in index]
        common = [len({*own} & {*origins}) for own in self.units]
        return [common.index(max(common))] if any(common) else []


def transfer(
    state_dict: Mapping[str, Tensor],
    source: Sequence[str],
    model: nn.Module,
    metainfo: Mapping,
    new: str = 'random',
    source_groups: Sequence[dict] | None = None,
) -> Transferred:
    """Return weights of one skeleton for a model of another.

    A keypoint whose name, or an alias of it, is in the checkpoint takes its
    rows; parts and groups of GTPT take those of the part or group with the
    most such keypoints. With ``new='neighbours'`` any other keypoint takes
    the average of its neighbours that are in the checkpoint: the other ends of
    its links in the skeleton, and its swap partner. Everything else keeps its
    value in ``model``.

    Args:
        state_dict: Native weights, trained or averaged ones; not changed.
        source: Names of their keypoints, in order.
        model: Pose estimator of the new skeleton, initialised; not changed.
        metainfo: Its parsed metainfo; ``keypoint_id2name``,
            ``skeleton_links`` and ``flip_indices`` are read.
        new: ``'random'`` or ``'neighbours'``, see above.
        source_groups: ``keypoint_groups`` of the GTPT that the weights belong
            to; None for those of the COCO body.

    Raises:
        ValueError: If ``new`` is unknown, or the names or groups are not
            those of the weights or of the model.
    """
    if new not in NEW:
        raise ValueError(f'new must be one of {list(NEW)}, got {new!r}')
    names = list_names(metainfo)
    matches = {
        name: (found,)
        for name, found in match_names(source, names).items()
        if found is not None
    }
    sources: dict[str, tuple[str, ...]] = {**matches}
    if new == 'neighbours':
        sources = {**_find_neighbours(names, metainfo, matches), **matches}
    fresh, by_block = model.state_dict(), _is_by_block(model)
    groups = getattr(getattr(model, 'backbone', None), 'groups', None)
    targets = _find_rows(fresh, names, groups, by_block)
    origins = _find_rows(
        state_dict,
        source,
        _read_groups(state_dict, source, source_groups),
        by_block,
    )
    out, filled, tensors = dict(state_dict), set(), []
    for key in targets.keys() & origins.keys():
        old = origins[key].split(key, state_dict[key])
        rows = targets[key].split(key, fresh[key]).clone()
        if old.shape[1:] != rows.shape[1:]:
            continue  # of another model size, which loading reports
        for i, unit in enumerate(targets[key].units):
            if picked := origins[key].find(unit, sources):
                rows[i] = old[picked].to(rows).mean(0)
                filled |= set(unit) if not targets[key].merged else set()
        out[key] = targets[key].join(rows)
        tensors.append(key)
    return Transferred(
        {key: out[key] for key in state_dict},
        [_describe(n, n in filled, matches, sources) for n in names],
        sorted(tensors),
    )


def add_last_layer(
    state_dict: Mapping[str, Tensor],
    name: str,
    names: Sequence[str],
    like: str,
    source: Sequence[str],
) -> Transferred:
    """Return weights with the last layer of a head added to a ViTPose++.

    Its rows are those of the head of another dataset, by the names of the
    keypoints; new ones are drawn as mmpose initialises heads.

    Args:
        state_dict: Native weights; not changed.
        name: Dataset of the head.
        names: Its keypoints.
        like: Dataset whose head has the rows.
        source: Its keypoints.
    """
    matches = match_names(source, names)
    each: list[tuple[str, ...]] = [(one,) for one in source]
    added = {}
    for leaf, std in (('weight', 0.001), ('bias', 0.0)):
        key = f'head.heads.{like}.final_layer.{leaf}'
        old = _Rows(each).split(key, state_dict[key])
        rows = old.new_empty((len(names), *old.shape[1:])).normal_(0, std)
        for i, one in enumerate(names):
            if (match := matches[one]) is not None:
                rows[i] = old[list(source).index(match)]
        added[key.replace(f'.{like}.', f'.{name}.', 1)] = rows.flatten(0, 1)
    found = {n: (m,) for n, m in matches.items() if m is not None}
    return Transferred(
        {**state_dict, **added},
        [_describe(n, n in found, found, found) for n in names],
        list(added),
    )


def list_names(metainfo: Mapping) -> list[str]:
    """Return the names of the keypoints of a parsed metainfo, in order."""
    names = metainfo['keypoint_id2name']
    return [names[i] for i in sorted(names)]


def list_rows(state_dict: Mapping[str, Tensor]) -> list[str]:
    """Return the names of native tensors that have rows for keypoints."""
    last = [m for key in state_dict if (m := _PROPOSER.fullmatch(key))]
    depth = max((int(m[1]) for m in last), default=0)
    return [
        *(m[0] for m in last if int(m[1]) == depth),
        *(key for key in TOKENS if key in state_dict),
        *(
            key
            for key, value in state_dict.items()
            if _HEADS.fullmatch(key) and value.dim()
        ),
    ]


def count_keypoints(
    state_dict: Mapping[str, Tensor], dataset: str | None = None
) -> int | None:
    """Return the keypoints of native weights; None if that is unknown.

    The last layer of a head of heatmaps, GTPT's tokens or Group Pose's
    queries tell it.

    Args:
        state_dict: The weights.
        dataset: Name of a head of a ViTPose++; None for a model with one.
    """
    for key in (
        f'head.heads.{dataset}.final_layer.weight',
        'head.final_layer.weight',
        'head.decoder.queries.keypoints.weight',
    ):
        if key in state_dict:
            return len(state_dict[key])
    if SPARSE in state_dict:
        tokens = (SPARSE, DENSE)
        return sum(state_dict[k].shape[1] for k in tokens if k in state_dict)
    return None


def _find_neighbours(
    names: Sequence[str],
    metainfo: Mapping,
    matches: _Sources,
) -> dict[str, tuple[str, ...]]:
    """Return the sources that keypoints without a match take from others."""
    near: dict[str, list[str]] = {name: [] for name in names}
    flips = enumerate(metainfo.get('flip_indices') or ())
    for i, j in (*metainfo.get('skeleton_links', ()), *flips):
        near[names[i]].append(names[j])
        near[names[j]].append(names[i])
    found = {
        name: tuple(
            dict.fromkeys(matches[other][0] for other in n if other in matches)
        )
        for name, n in near.items()
    }
    return {name: sources for name, sources in found.items() if sources}


def _describe(
    name: str,
    is_filled: bool,
    matches: _Sources,
    sources: _Sources,
) -> Row:
    if not is_filled:
        return Row(name, (), 'new')
    how = 'copied' if name in matches else 'averaged'
    return Row(name, sources[name], how)


def _is_by_block(model: nn.Module) -> bool:
    """Return whether the head has heatmaps of all keypoints, then tags."""
    return isinstance(getattr(model, 'head', None), AssociativeEmbeddingHead)


def _read_groups(
    state_dict: Mapping[str, Tensor],
    names: Sequence[str],
    groups: Sequence[dict] | None,
) -> KeypointGroups | None:
    """Return the groups of a GTPT, None for other weights."""
    if SPARSE not in state_dict:
        return None
    found = KeypointGroups(groups or COCO_BODY_GROUPS)
    tokens = state_dict[SPARSE].shape[1]
    if (found.num_keypoints, found.num_sparse) != (len(names), tokens):
        raise ValueError(
            f'the weights have {len(names)} keypoints, {tokens} of them '
            f'sparse, the groups {found.num_keypoints} and '
            f'{found.num_sparse}; give the keypoint_groups of the model that '
            'the weights belong to as source_groups'
        )
    return found


def _find_rows(
    state_dict: Mapping[str, Tensor],
    names: Sequence[str],
    groups: KeypointGroups | None,
    by_block: bool,
) -> dict[str, _Rows]:
    """Return which rows of which tensors belong to which keypoints."""
    each: list[tuple[str, ...]] = [(name,) for name in names]
    tokens = _find_tokens(names, groups) if groups is not None else {}
    return {
        key: tokens.get(key) or _Rows(each, by_block=by_block)
        for key in list_rows(state_dict)
        if groups is not None or key not in TOKENS
    }


def _find_tokens(
    names: Sequence[str], groups: KeypointGroups
) -> dict[str, _Rows]:
    """Return the rows of the tensors of a GTPT."""

    def name_all(units: Sequence[Sequence[int]]) -> list[tuple[str, ...]]:
        return [tuple(names[i] for i in unit) for unit in units]

    members = [
        (*sparse, *dense)
        for sparse, dense in zip(
            groups.group_sparse, groups.group_dense, strict=True
        )
    ]
    single = [[i] for i in groups.sparse], [[i] for i in groups.dense]
    sparse, dense = (_Rows(name_all(units), dim=1) for units in single)
    parts = _Rows(name_all(groups.parts), dim=1, merged=True)
    mask = _Rows(name_all(members), merged=True)
    return dict(zip(TOKENS, (sparse, dense, parts, mask, mask), strict=True))
