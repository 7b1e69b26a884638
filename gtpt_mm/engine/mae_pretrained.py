"""Start a training from an encoder pretrained as a masked autoencoder."""

import re

from mmengine.logging import print_log
from mmengine.model.weight_init import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from torch import nn

from gtpt_mm.convert import convert_mae, find_weights
from gtpt_mm.models import ViTPose


@WEIGHT_INITIALIZERS.register_module()
class MAEPretrained:
    """Initialise a ViTPose or ViTPose++ backbone from an MAE file.

    Reads the files of FAIR, of mmpretrain and mmpose's mirror of them, and
    those of the pretraining in ``configs/pretrain``. The positions are
    resized to the grid of the model, patches of 14 x 14 pixels are enlarged,
    and experts start from the plain layers, see ``ExpertMLP``. One line of the
    log names the tensors of the file that are not loaded
    (last norm, class token, decoder) and the tensors of the model that are not
    in the file. An encoder of another size is an error; mmengine's
    ``Pretrained`` would continue without it.

    Args:
        checkpoint: Path or address of the file; or a name, such as
            ``mae-vit-b``, whose weights are fetched once, see
            ``gtpt-mm download``.
        patch_padding: How smaller patches become 16 x 16: ``'pad'`` with
            zeros, as in the official code, ``'bilinear'`` or ``'bicubic'``.

    Raises:
        ValueError: When it is called, if the file does not fit the model.

    Example:
        >>> backbone = dict(
        ...     type='ViTPose', arch='huge',
        ...     init_cfg=dict(
        ...         type='MAEPretrained',
        ...         checkpoint='mae_pretrain_vit_huge.pth'))
    """

    def __init__(self, checkpoint: str, patch_padding: str = 'pad') -> None:
        self.checkpoint = checkpoint
        self.patch_padding = patch_padding

    def __call__(self, module: ViTPose) -> None:
        """Load the file into a backbone, in place."""
        content = CheckpointLoader.load_checkpoint(
            self.checkpoint, map_location='cpu', logger='current'
        )
        weights, left_out = convert_mae(
            find_weights(content), module.grid_size, self.patch_padding
        )
        weights = {k.removeprefix('backbone.'): v for k, v in weights.items()}
        not_in_file = self._load(module, weights)
        print_log(
            f'{type(module).__name__}: {len(weights)} tensors from '
            f'{self.checkpoint}. In the file only: '
            f'{", ".join(left_out) or "none"}. In the model only: '
            f'{", ".join(not_in_file) or "none"}.',
            logger='current',
        )
        if hasattr(module, '_params_init_info'):
            update_init_info(
                module, init_info=f'MAEPretrained from {self.checkpoint}'
            )

    def _load(self, module: nn.Module, weights: dict) -> list[str]:
        """Load and return the names that a plain encoder does not have."""
        problem = f'{self.checkpoint} does not fit the backbone'
        try:
            result = module.load_state_dict(weights, strict=False)
        except RuntimeError as error:  # shapes; it names them
            raise ValueError(f'{problem}: {error}') from error
        layer_names = {re.sub(r'^layers\.\d+', '', key) for key in weights}
        missing = [
            key
            for key in result.missing_keys
            if re.sub(r'^layers\.\d+', '', key) in layer_names
        ]
        if missing or result.unexpected_keys:
            raise ValueError(
                f'{problem}. Missing: {", ".join(missing) or "none"}; too '
                f'many: {", ".join(result.unexpected_keys) or "none"}'
            )
        return result.missing_keys
