"""Distillation of ViTPose: by a knowledge token, by heatmaps, or both.

Source: Xu et al., "ViTPose++", Sec. 3.4, Eq. 6 to 9; no official code.

Both phases are pose estimators with the constructor, the checkpoint names and
the test behaviour of ``TopdownPoseEstimator``; the options of the distillation
are in ``train_cfg`` and are read when a training starts.
"""

# B batch, K keypoints, C channels, (H, W) heatmap

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from mmpose.models import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.utils.typing import SampleList
from torch import Tensor, nn

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.layers.knowledge_token import KnowledgeToken
from gtpt_mm.models.losses.heatmap_losses import heatmap_losses

#: Name in the checkpoint of an estimator.
TOKEN = 'backbone.knowledge.token'


@MODELS.register_module()
class KnowledgeTokenDistiller(TopdownPoseEstimator):
    """Phase 1: distil a frozen teacher into its knowledge token.

        t* = argmin_t MSE(T({t; X}), K_gt)                         (Eq. 7)

    Requires ``FreezeHook(trainable=['backbone.knowledge'])``, which freezes
    the teacher and keeps it in evaluation mode, and a backbone with
    ``knowledge_dims`` equal to its channels. Checkpoints contain teacher and
    token.

    ``teacher_checkpoint`` in ``train_cfg`` is the path or URL of the trained
    teacher, with or without a token.

    Raises:
        ValueError: In a training, if the backbone has no token or one of
            another width, or the teacher is not frozen.
    """

    def init_weights(self) -> None:
        """Load the teacher; a token that its file lacks starts random."""
        super().init_weights()
        knowledge = _get_knowledge(self)
        if knowledge is None or not isinstance(knowledge.map, nn.Identity):
            raise ValueError(
                'the teacher needs a knowledge token with all its channels; '
                f'give its backbone, {type(self.backbone).__name__}, '
                f'knowledge_dims={getattr(self.backbone, "embed_dims", None)}'
            )
        state_dict = _read_state_dict(self.train_cfg['teacher_checkpoint'])
        state_dict.setdefault(TOKEN, knowledge.token.detach())
        self.load_state_dict(state_dict)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        """Return the losses of the head, see ``TopdownPoseEstimator``."""
        if any(p.requires_grad for p in self.head.parameters()):
            raise ValueError(
                'the teacher is not frozen; add to custom_hooks '
                "dict(type='FreezeHook', trainable=['backbone.knowledge'])"
            )
        return super().loss(inputs, data_samples)


@MODELS.register_module()
class ViTPoseDistiller(TopdownPoseEstimator):
    """Phase 2: train a student with a token, with a teacher, or with both.

    With K_gt the targets, K_t the heatmaps of the teacher and t* the token,
    the loss is one of

        MSE(S({t*; X}), K_gt)                           token only (Eq. 8)
        MSE(S(X), K_gt) + MSE(S(X), K_t)          heatmaps only (Eq. 6)
        MSE(S({t*; X}), K_gt) + MSE(S({t*; X}), K_t)        both (Eq. 9)

    The first term is the loss of the head, with keypoint weights; the second
    weighs every pixel alike. This estimator is the student: it contains the
    token, but not the teacher.

    A token requires ``knowledge_dims`` in the backbone, equal to the channels
    of the teacher, and ``FreezeHook(frozen=['backbone.knowledge.token'])``.
    Keys of ``train_cfg``, all optional:

    - ``token_checkpoint``: Checkpoint of phase 1, or the file of
      ``save_knowledge_token``.
    - ``teacher`` and ``teacher_checkpoint``: Config of the teacher's model and
      its checkpoint, which may be one of phase 1.
    - ``output_loss``: Loss of the student's heatmaps against the teacher's;
      default: the mean square, weight 1.

    Raises:
        ValueError: In a training, if a token or a teacher is given without its
            checkpoint or vice versa, the token is not frozen, or the heatmaps
            of student and teacher differ in shape.
    """

    #: A module in a tuple is not a child: neither trained nor saved.
    _teacher: tuple[TopdownPoseEstimator, ...] = ()

    def init_weights(self) -> None:
        """Initialise the student; load the token and the teacher."""
        super().init_weights()
        knowledge = _get_knowledge(self)
        path = self.train_cfg.get('token_checkpoint')
        if (knowledge is None) != (path is None):
            raise ValueError(
                'knowledge_dims of the backbone and token_checkpoint require '
                f'each other, got token_checkpoint={path!r} and '
                f'{"no " if knowledge is None else "a "}token'
            )
        if path is not None and knowledge is not None:
            token = _read_token(path)
            if token.shape != knowledge.token.shape:
                raise ValueError(
                    f'the token of {path} has {token.shape[-1]} channels, '
                    f'knowledge_dims is {knowledge.token.shape[-1]}'
                )
            knowledge.token.data.copy_(token)
        self._build_teacher()

    def _build_teacher(self) -> None:
        teacher = self.train_cfg.get('teacher')
        path = self.train_cfg.get('teacher_checkpoint')
        output_loss = self.train_cfg.get('output_loss')
        if (teacher is None) != (path is None) or (
            teacher is None and output_loss is not None
        ):
            raise ValueError(
                'teacher and teacher_checkpoint require each other, and '
                f'output_loss requires both; got teacher={teacher}, '
                f'teacher_checkpoint={path!r}, {output_loss=}'
            )
        if teacher is None:
            return
        model = MODELS.build(teacher)
        state_dict = _read_state_dict(path)
        if _get_knowledge(model) is None:
            # A checkpoint of phase 1 is the teacher and its token.
            state_dict.pop(TOKEN, None)
        model.load_state_dict(state_dict)
        device = next(self.parameters()).device
        self._teacher = (model.eval().requires_grad_(False).to(device),)
        self.output_loss = MODELS.build(
            output_loss or dict(type='KeypointMSELoss')
        )

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        """Return the loss of the targets and, with a teacher, of its maps.

        Args:
            inputs: Images, (B, 3, H, W).
            data_samples: Their targets, B of them.

        Returns:
            ``loss_kpt``, ``acc_pose`` and, with a teacher, ``loss_output``.
        """
        knowledge = _get_knowledge(self)
        if knowledge is not None and knowledge.token.requires_grad:
            raise ValueError(
                'the token is not frozen; add to custom_hooks '
                "dict(type='FreezeHook', frozen=['backbone.knowledge.token'])"
            )
        if not self._teacher:
            return super().loss(inputs, data_samples)
        heatmaps = self.head.forward(self.extract_feat(inputs))
        [teacher] = self._teacher
        with torch.no_grad():
            target = teacher.head.forward(teacher.extract_feat(inputs))
        if target.shape != heatmaps.shape:
            raise ValueError(
                f"the teacher's heatmaps are {tuple(target.shape[1:])}, the "
                f"student's {tuple(heatmaps.shape[1:])}; give both heads the "
                'same keypoints and upsampling'
            )
        losses = heatmap_losses(
            self.head, heatmaps, data_samples, self.train_cfg
        )
        losses['loss_output'] = self.output_loss(heatmaps, target)
        return losses


def save_knowledge_token(checkpoint: str, path: str) -> None:
    """Write the token of a checkpoint of phase 1 to a separate file.

    Args:
        checkpoint: Checkpoint of ``KnowledgeTokenDistiller``.
        path: File to write, of a few kilobytes.

    Raises:
        ValueError: If the checkpoint has no token.
    """
    # Clone it: torch.save writes the whole storage of a view.
    token = _read_token(checkpoint).clone()
    with atomic_write(path) as file:
        torch.save({'state_dict': {TOKEN: token}}, file)


def _get_knowledge(model: TopdownPoseEstimator) -> KnowledgeToken | None:
    return getattr(model.backbone, 'knowledge', None)


def _read_token(path: str) -> Tensor:
    state_dict = _read_state_dict(path)
    if TOKEN not in state_dict:
        raise ValueError(
            f'{path} has no {TOKEN}; give a checkpoint of '
            'KnowledgeTokenDistiller'
        )
    return state_dict[TOKEN]


def _read_state_dict(path: str) -> dict[str, Tensor]:
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    return dict(checkpoint.get('state_dict', checkpoint))
