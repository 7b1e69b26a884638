"""The registry of public weights: their sources and licences.

``PUBLIC`` lists what a program can fetch, ``DRIVES`` what only a person can:
Google Drive and OneDrive show a page first. ``tools/model_names.py`` writes
both into ``gtpt_mm/model_table.py`` and ``docs/model_names.md``.
"""

from typing import NamedTuple


class PublicWeights(NamedTuple):
    """Weights that can be fetched.

    Attributes:
        model: Short name of their model; '' for an encoder to start a training
            from.
        source: ``hf://OWNER/NAME`` of the Hugging Face Hub, or a URL.
        layout: Naming scheme of their tensors in :mod:`gtpt_mm.convert`:
            ``huggingface``, ``mmpose`` or ``timm``. They are converted to
            native names, except those of an encoder.
        licence: SPDX identifier of their licence.
        sha256: Hash of the fetched file, or its first digits; '' takes the
            hash of the first use.
        datasets: Datasets of a ViTPose++ that have a head; () for a model of
            one dataset.
        revision: Branch, tag or commit on the Hub.
    """

    model: str
    source: str
    layout: str
    licence: str
    sha256: str = ''
    datasets: tuple[str, ...] = ()
    revision: str = 'main'

    @property
    def page(self) -> str:
        """Address for a browser."""
        return self.source.replace('hf://', 'https://huggingface.co/')


class Drive(NamedTuple):
    """Weights that have to be fetched by hand.

    Attributes:
        page: Page with the link.
        file: Description of the file there.
        licence: SPDX identifier of the licence of the project.
    """

    page: str
    file: str
    licence: str = 'Apache-2.0'


def _hub(
    model: str, name: str, datasets: tuple[str, ...] = ()
) -> PublicWeights:
    source = f'hf://usyd-community/{name}'
    return PublicWeights(
        model, source, 'huggingface', 'Apache-2.0', datasets=datasets
    )


def _zoo(model: str, name: str, sha256: str, date: str) -> PublicWeights:
    """Return weights of mmpose's zoo; their names hold eight hex digits."""
    source = (
        'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/'
        f'topdown_heatmap/coco/td-hm_ViTPose-{name}_8xb64-210e_coco-256x192-'
        f'{sha256}_{date}.pth'
    )
    return PublicWeights(model, source, 'mmpose', 'Apache-2.0', sha256)


def _mae(name: str) -> PublicWeights:
    source = (
        'https://dl.fbaipublicfiles.com/mae/pretrain/'
        f'mae_pretrain_vit_{name}.pth'
    )
    return PublicWeights('', source, 'timm', 'CC-BY-NC-4.0')


#: By the name that fetches them; the name of a model fetches its default ones.
PUBLIC = {
    'vitpose-b': _hub('vitpose-b', 'vitpose-base'),
    'vitpose-b-coco-aic-mpii': _hub('vitpose-b', 'vitpose-base-coco-aic-mpii'),
    'vitpose-b-simple': _hub('vitpose-b-simple', 'vitpose-base-simple'),
    'vitpose-plus-s': _hub('vitpose-plus-s', 'vitpose-plus-small', ('coco',)),
    'vitpose-plus-b': _hub('vitpose-plus-b', 'vitpose-plus-base', ('coco',)),
    'vitpose-plus-l': _hub('vitpose-plus-l', 'vitpose-plus-large', ('coco',)),
    'vitpose-plus-h': _hub('vitpose-plus-h', 'vitpose-plus-huge', ('coco',)),
    'vitpose-s': _zoo('vitpose-s', 'small', '62d7a712', '20230314'),
    'vitpose-b-mmpose': _zoo('vitpose-b', 'base', '216eae50', '20230314'),
    'vitpose-l': _zoo('vitpose-l', 'large', '53609f55', '20230314'),
    'vitpose-h': _zoo('vitpose-h', 'huge', 'e32adcd4', '20230314'),
    'vitpose-s-simple': _zoo(
        'vitpose-s-simple', 'small-simple', '4c101a76', '20230314'
    ),
    'vitpose-b-simple-mmpose': _zoo(
        'vitpose-b-simple', 'base-simple', '0b8234ea', '20230407'
    ),
    'vitpose-l-simple': _zoo(
        'vitpose-l-simple', 'large-simple', '3a7ee9e1', '20230314'
    ),
    'vitpose-h-simple': _zoo(
        'vitpose-h-simple', 'huge-simple', 'ffd48c05', '20230314'
    ),
    'mae-vit-b': _mae('base'),
    'mae-vit-l': _mae('large'),
    'mae-vit-h': _mae('huge'),
}

_GTPT = 'https://github.com/haonanwang0522/GTPT'
_GROUP_POSE = 'https://github.com/Michel-liu/GroupPose'
_VITPOSE = 'https://github.com/ViTAE-Transformer/ViTPose'


def _drives() -> dict[str, Drive]:
    found = {
        f'vitpose-plus-{size}': Drive(
            _VITPOSE, f'ViTPose+-{size.upper()}, which has all six heads'
        )
        for size in 'sblh'
    }
    for size in 'tsb':
        for suffix, data in ('', 'COCO'), ('-wholebody', 'COCO-WholeBody'):
            found[f'gtpt-{size}{suffix}'] = Drive(
                _GTPT, f'GTPT-{size.upper()} of {data}, 256x192', ''
            )
    for backbone in 'ResNet-50', 'Swin-T', 'Swin-L':
        word = backbone.lower().replace('resnet-', 'r')
        found[f'group-pose-{word}'] = Drive(
            _GROUP_POSE, f'Group Pose, {backbone}, COCO'
        )
    found['group-pose-swin-l-crowdpose'] = Drive(
        _GROUP_POSE, 'Group Pose, Swin-L, CrowdPose'
    )
    return found


#: By the name of the model.
DRIVES = _drives()
