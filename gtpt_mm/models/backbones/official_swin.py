"""Swin Transformer that loads official checkpoints."""

from mmengine.runner import CheckpointLoader
from mmpose.models.backbones import SwinTransformer
from mmpose.models.backbones.utils.ckpt_convert import swin_converter
from mmpose.registry import MODELS
from torch import Tensor

#: Buffers that follow from the sizes and need not be loaded.
NOT_LOADED = ('attn_mask', 'relative_position_index')


@MODELS.register_module()
class OfficialSwin(SwinTransformer):
    """mmpose's Swin Transformer that loads official checkpoints.

    mmpose 1.3.2 reads such a file with ``convert_weights=True``, but uses none
    of its tensors: it does not look in the entry ``model``, which holds them,
    and its converter writes names that start with ``backbone.``. Training then
    starts from random weights, with only a warning.

    Official files lack the norms of the outputs, ``norm0`` to ``norm3``; these
    start as the identity.

    Source: Liu et al., "Swin Transformer", ICCV 2021; the arguments are those
    of ``mmpose.models.SwinTransformer``; ``convert_weights=True`` means that
    ``init_cfg`` names an official file.
    """

    def init_weights(self) -> None:
        """Load the file that ``init_cfg`` names, or draw weights.

        Raises:
            ValueError: If the file lacks tensors or has unknown ones.
            RuntimeError: If their shapes differ.
        """
        init_cfg = self.init_cfg
        is_file = isinstance(init_cfg, dict) and init_cfg.get('checkpoint')
        if not (is_file and self.convert_weights):
            super().init_weights()
            return
        source = init_cfg['checkpoint']
        weights = _read(CheckpointLoader.load_checkpoint(source, 'cpu'))
        expected = {
            key
            for key in self.state_dict()
            if not key.startswith('norm') and not key.endswith(NOT_LOADED)
        }
        missing, unknown = expected - set(weights), set(weights) - expected
        if missing or unknown:
            raise ValueError(
                f'{source} does not fit this OfficialSwin: it lacks '
                f'{", ".join(sorted(missing)) or "nothing"} and has '
                f'{", ".join(sorted(unknown)) or "nothing"} besides; give a '
                'official Swin file of the same depths, or set '
                'convert_weights=False for a file of mmpose'
            )
        self.load_state_dict(weights, strict=False)


def _read(file: dict) -> dict[str, Tensor]:
    """Return the tensors of an official file under mmpose's names."""
    converted = swin_converter(file.get('model', file))
    weights = {
        key.removeprefix('backbone.'): value
        for key, value in converted.items()
    }
    classifier = ('norm.weight', 'norm.bias')  # its head is dropped already
    return {
        key: value
        for key, value in weights.items()
        if key not in classifier and not key.endswith(NOT_LOADED)
    }
