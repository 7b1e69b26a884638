"""Decoders and heads of the ablations; importing them registers them."""

from .attention import FlatSelfAttention, SharedGroupSelfAttention
from .decoders import (
    AcrossInstancesDecoder,
    AcrossKeypointsDecoder,
    AcrossOnlyDecoder,
    MaskedAttentionDecoder,
    NoSelfAttentionDecoder,
    OnlyInstanceQueriesDecoder,
    OnlyKeypointQueriesDecoder,
    ScoreFromKeypointsDecoder,
    SharedAttentionDecoder,
    StandardAttentionDecoder,
    TextbookDecoder,
    UnaliasedDecoder,
    WithinOnlyDecoder,
)
from .human_decoder import HumanDecoder
from .human_head import HumanCriterion, HumanGroupPoseHead

__all__ = [
    'AcrossInstancesDecoder',
    'AcrossKeypointsDecoder',
    'AcrossOnlyDecoder',
    'FlatSelfAttention',
    'HumanCriterion',
    'HumanDecoder',
    'HumanGroupPoseHead',
    'MaskedAttentionDecoder',
    'NoSelfAttentionDecoder',
    'OnlyInstanceQueriesDecoder',
    'OnlyKeypointQueriesDecoder',
    'ScoreFromKeypointsDecoder',
    'SharedAttentionDecoder',
    'SharedGroupSelfAttention',
    'StandardAttentionDecoder',
    'TextbookDecoder',
    'UnaliasedDecoder',
    'WithinOnlyDecoder',
]
