"""Distillation of ViTPose: by a knowledge token, by heatmaps, or both.

Source: Xu et al., "ViTPose++", Sec. 3.4, Eq. 6 to 9; no code of the authors.

Both phases are pose estimators themselves, not wrappers around two of them:
their checkpoints have the names of a plain estimator and do not contain the
teacher, so they test, convert and fine-tune like any other.
"""

# B batch, K keypoints, C channels, (H, W) heatmap

from collections.abc import Callable

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from mmpose.models import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.utils.typing import (
    ConfigType,
    OptConfigType,
    OptMultiConfig,
    SampleList,
)
from torch import Tensor, nn

from gtpt_mm.models.losses.heatmap_losses import heatmap_losses

#: Names in the checkpoint of an estimator.
KNOWLEDGE = 'backbone.knowledge.'
TOKEN = KNOWLEDGE + 'token'


@MODELS.register_module()
class KnowledgeTokenDistiller(TopdownPoseEstimator):
    """Phase 1: distil a frozen teacher into its knowledge token.

        t* = argmin_t MSE(T({t; X}), K_gt)                         (Eq. 7)

    Requires ``FreezeHook(trainable=['backbone.knowledge'])``: the teacher is
    frozen and in evaluation mode. The checkpoint has teacher and token.

    Args:
        backbone: As for ``TopdownPoseEstimator``, with ``knowledge_dims``
            equal to its channels.
        teacher_checkpoint: Checkpoint of the trained teacher, a path or a
            URL; with or without a token. Read when a training starts.
        neck: As for ``TopdownPoseEstimator``, and so are all others.
        head: Head.
        train_cfg: Options of the training.
        test_cfg: Options of the test.
        data_preprocessor: Preprocessor of images.
        init_cfg: Initialisation, see mmengine.

    Raises:
        ValueError: If the backbone has no token, or one of another width; in
            the loss, if the teacher is not frozen.
    """

    def __init__(
        self,
        backbone: ConfigType,
        teacher_checkpoint: str,
        neck: OptConfigType = None,
        head: OptConfigType = None,
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        data_preprocessor: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(
            backbone, neck, head, train_cfg, test_cfg, data_preprocessor,
            init_cfg,
        )  # fmt: skip
        knowledge = getattr(self.backbone, 'knowledge', None)
        if knowledge is None or not isinstance(knowledge.map, nn.Identity):
            raise ValueError(
                'the teacher needs a knowledge token of its own width; give '
                f'its backbone, {type(self.backbone).__name__}, '
                f'knowledge_dims={getattr(self.backbone, "embed_dims", None)}'
            )
        self.teacher_checkpoint = teacher_checkpoint

    def init_weights(self) -> None:
        """Load the teacher; a token that its file lacks starts random."""
        super().init_weights()
        state_dict = _read_state_dict(self.teacher_checkpoint)
        state_dict.setdefault(TOKEN, self.backbone.knowledge.token.detach())
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
    which is frozen, the loss is one of

        MSE(S({t*; X}), K_gt)                           token only (Eq. 8)
        MSE(S(X), K_gt) + MSE(S(X), K_t)          heatmaps only (Eq. 6)
        MSE(S({t*; X}), K_gt) + MSE(S({t*; X}), K_t)        both (Eq. 9)

    The first term is the loss of the head, with the weights of keypoints; the
    second counts every pixel alike. This estimator is the student; the
    teacher is in no checkpoint and is not trained.

    Args:
        backbone: As for ``TopdownPoseEstimator``; a token requires
            ``knowledge_dims`` equal to the channels of the teacher.
        token_checkpoint: Checkpoint of phase 1, or the file of
            ``save_knowledge_token``; None: no token. Read when a training
            starts; the checkpoints of the student contain the token.
        teacher: Config of the teacher's model; None: no heatmaps of a
            teacher. A test of the student does not need it.
        teacher_checkpoint: Its checkpoint, also one of phase 1. Read when a
            training starts.
        output_loss: Loss of the student's heatmaps against the teacher's;
            None: the mean square, weight 1.
        neck: As for ``TopdownPoseEstimator``, and so are all others.
        head: Head.
        train_cfg: Options of the training.
        test_cfg: Options of the test.
        data_preprocessor: Preprocessor of images.
        init_cfg: Initialisation, see mmengine.

    Raises:
        ValueError: If a token or a teacher comes without its checkpoint or
            the other way round; in the loss, if the heatmaps of student and
            teacher differ in shape.
    """

    def __init__(
        self,
        backbone: ConfigType,
        token_checkpoint: str | None = None,
        teacher: OptConfigType = None,
        teacher_checkpoint: str | None = None,
        output_loss: OptConfigType = None,
        neck: OptConfigType = None,
        head: OptConfigType = None,
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        data_preprocessor: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(
            backbone, neck, head, train_cfg, test_cfg, data_preprocessor,
            init_cfg,
        )  # fmt: skip
        knowledge = getattr(self.backbone, 'knowledge', None)
        if (knowledge is None) != (token_checkpoint is None):
            raise ValueError(
                'knowledge_dims of the backbone and token_checkpoint require '
                f'each other, got token_checkpoint={token_checkpoint!r} and '
                f'{"no " if knowledge is None else "a "}token'
            )
        if (teacher is None) != (teacher_checkpoint is None) or (
            teacher is None and output_loss is not None
        ):
            raise ValueError(
                'teacher and teacher_checkpoint require each other, and '
                'output_loss requires both; got '
                f'{"no " if teacher is None else "a "}teacher, '
                f'{teacher_checkpoint=} and {output_loss=}'
            )
        self.token_checkpoint = token_checkpoint
        self.teacher_checkpoint = teacher_checkpoint
        if knowledge is not None:
            knowledge.token.requires_grad_(False)
        # In a tuple a module is no child: neither trained nor saved.
        self._teacher: tuple[nn.Module, ...] = ()
        if teacher is not None:
            self._teacher = (
                MODELS.build(teacher).eval().requires_grad_(False),
            )
            self.output_loss = MODELS.build(
                output_loss or dict(type='KeypointMSELoss')
            )

    def init_weights(self) -> None:
        """Initialise the student; load the token and the teacher."""
        super().init_weights()
        if self.token_checkpoint is not None:
            self._load_token(self.token_checkpoint)
        for teacher in self._teacher:
            state_dict = _read_state_dict(self.teacher_checkpoint)
            if getattr(teacher.backbone, 'knowledge', None) is None:
                # A checkpoint of phase 1 is the teacher and its token.
                state_dict.pop(TOKEN, None)
            teacher.load_state_dict(state_dict)

    def _load_token(self, path: str) -> None:
        token, source = self.backbone.knowledge.token, _read_token(path)
        if token.shape != source.shape:
            raise ValueError(
                f'the token of {path} has {source.shape[-1]} channels, '
                f'knowledge_dims is {token.shape[-1]}'
            )
        token.data.copy_(source)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        """Return the loss of the targets and, with a teacher, of its maps.

        Args:
            inputs: Images, (B, 3, H, W).
            data_samples: Their targets, B of them.

        Returns:
            ``loss_kpt``, ``acc_pose`` and, with a teacher, ``loss_output``.
        """
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

    def _apply(self, fn: Callable, recurse: bool = True) -> 'ViTPoseDistiller':
        """Move the teacher along with the student."""
        for teacher in self._teacher:
            teacher._apply(fn, recurse)
        return super()._apply(fn, recurse)


def save_knowledge_token(checkpoint: str, path: str) -> None:
    """Write the token of a checkpoint of phase 1 to a separate file.

    Args:
        checkpoint: Checkpoint of ``KnowledgeTokenDistiller``.
        path: File to write, of a few kilobytes.

    Raises:
        ValueError: If the checkpoint has no token.
    """
    # A clone: a view would be written with the whole storage behind it.
    token = _read_token(checkpoint).clone()
    torch.save({'state_dict': {TOKEN: token}}, path)


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
