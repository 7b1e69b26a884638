"""Distillation of ViTPose: by a knowledge token, by heat maps, or both.

Source: Xu et al., "ViTPose++", Sec. 3.4, Eq. 6 to 9; no code of the authors.

Both phases are pose estimators themselves, not wrappers around two of them:
their checkpoints are those of a plain estimator, without another prefix and
without the teacher, so they test, convert and fine-tune like any other.
"""

# B batch, K keypoints, C channels, (H, W) heat map

from collections.abc import Callable

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from mmpose.evaluation.functional import pose_pck_accuracy
from mmpose.models import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.utils.tensor_utils import to_numpy
from mmpose.utils.typing import ConfigType, SampleList
from torch import Tensor, nn

#: Names in the checkpoint of an estimator.
KNOWLEDGE = 'backbone.knowledge.'
TOKEN = KNOWLEDGE + 'token'


@MODELS.register_module()
class KnowledgeTokenTeacher(TopdownPoseEstimator):
    """Phase 1: a frozen teacher of which only the knowledge token learns.

        t* = argmin_t MSE(T({t; X}), K_gt)                         (Eq. 7)

    The teacher stays in evaluation mode: no drop path, and its norms keep
    their statistics. Its checkpoint holds the teacher and the token.

    Args:
        *args: As ``TopdownPoseEstimator``; the backbone needs
            ``knowledge_dims``, as many as it has channels.
        teacher_checkpoint: Checkpoint of the trained teacher, a path or a
            URL; with or without a token. Read when a training starts.
        **kwargs: As ``TopdownPoseEstimator``.

    Raises:
        ValueError: If the backbone has no token, or one of another width.
    """

    def __init__(self, *args, teacher_checkpoint: str, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        knowledge = getattr(self.backbone, 'knowledge', None)
        if knowledge is None or not isinstance(knowledge.map, nn.Identity):
            raise ValueError(
                'the teacher needs a knowledge token of its own width; give '
                f'its backbone, {type(self.backbone).__name__}, '
                f'knowledge_dims={getattr(self.backbone, "embed_dims", None)}'
            )
        self.teacher_checkpoint = teacher_checkpoint
        self.requires_grad_(False)
        knowledge.token.requires_grad_(True)

    def init_weights(self) -> None:
        """Load the teacher; a token that its file lacks starts random."""
        super().init_weights()
        state_dict = _read_state_dict(self.teacher_checkpoint)
        state_dict.setdefault(TOKEN, self.backbone.knowledge.token.detach())
        self.load_state_dict(state_dict)

    def train(self, mode: bool = True) -> 'KnowledgeTokenTeacher':
        """Keep all of the teacher in evaluation mode."""
        return super().train(False)


@MODELS.register_module()
class DistilledStudent(TopdownPoseEstimator):
    """Phase 2: a student that learns with a token, from a teacher, or both.

    With K_gt the targets, K_t the teacher's heat maps and t* the token, which
    is frozen, the loss is one of

        MSE(S({t*; X}), K_gt)                           token only (Eq. 8)
        MSE(S(X), K_gt) + MSE(S(X), K_t)          heat maps only (Eq. 6)
        MSE(S({t*; X}), K_gt) + MSE(S({t*; X}), K_t)        both (Eq. 9)

    The first term is the head's own loss, with the weights of keypoints; the
    second counts every pixel alike. The teacher is not a part of the student:
    it is in no checkpoint, and nothing trains it.

    Args:
        *args: As ``TopdownPoseEstimator``; for a token the backbone needs
            ``knowledge_dims``, as many as the teacher has channels.
        token_checkpoint: Checkpoint of phase 1, or what
            ``save_knowledge_token`` made of it; None: no token. Read when a
            training starts; the student's own checkpoints have the token.
        teacher: Config of the teacher's model; None: no heat maps of it. The
            test of a student does not need it.
        teacher_checkpoint: Its checkpoint, that of phase 1 as well. Read when
            a training starts.
        output_loss: Loss of the student's heat maps against the teacher's;
            None: the mean square, of weight 1.
        **kwargs: As ``TopdownPoseEstimator``.

    Raises:
        ValueError: If a token or a teacher comes without its checkpoint or
            the other way round; in the loss, if the heat maps of student and
            teacher are not of one shape.
    """

    def __init__(
        self,
        *args,
        token_checkpoint: str | None = None,
        teacher: ConfigType | None = None,
        teacher_checkpoint: str | None = None,
        output_loss: ConfigType | None = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        knowledge = getattr(self.backbone, 'knowledge', None)
        if (knowledge is None) != (token_checkpoint is None):
            raise ValueError(
                'knowledge_dims of the backbone and token_checkpoint belong '
                f'together, got token_checkpoint={token_checkpoint!r} and '
                f'{"no " if knowledge is None else "a "}token'
            )
        if (teacher is None) and (teacher_checkpoint or output_loss):
            raise ValueError(
                'teacher_checkpoint and output_loss need a teacher, got '
                f'{teacher_checkpoint!r} and {output_loss!r} without'
            )
        if teacher is not None and teacher_checkpoint is None:
            raise ValueError(
                'a teacher needs teacher_checkpoint; a random one teaches '
                'nothing'
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
            self._load_token()
        for teacher in self._teacher:
            state_dict = _read_state_dict(self.teacher_checkpoint)
            if getattr(teacher.backbone, 'knowledge', None) is None:
                # A checkpoint of phase 1 is the teacher and its token.
                state_dict = {
                    name: value
                    for name, value in state_dict.items()
                    if not name.startswith(KNOWLEDGE)
                }
            teacher.load_state_dict(state_dict)

    def _load_token(self) -> None:
        state_dict = _read_state_dict(self.token_checkpoint)
        if TOKEN not in state_dict:
            raise ValueError(
                f'{self.token_checkpoint} has no {TOKEN}; give a checkpoint '
                'of KnowledgeTokenTeacher'
            )
        own, given = self.backbone.knowledge.token, state_dict[TOKEN]
        if own.shape != given.shape:
            raise ValueError(
                f'the token of {self.token_checkpoint} has {given.shape[-1]} '
                f'channels, knowledge_dims is {own.shape[-1]}'
            )
        own.data.copy_(given)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        """Return the loss of the targets and, with a teacher, that of it.

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
            taught = teacher.head.forward(teacher.extract_feat(inputs))
        if taught.shape != heatmaps.shape:
            raise ValueError(
                f"the teacher's heat maps are {tuple(taught.shape[1:])}, the "
                f"student's {tuple(heatmaps.shape[1:])}; give both heads the "
                'same keypoints and upsampling'
            )
        losses = self._loss_of_targets(heatmaps, data_samples)
        losses['loss_output'] = self.output_loss(heatmaps, taught)
        return losses

    def _loss_of_targets(
        self, heatmaps: Tensor, data_samples: SampleList
    ) -> dict:
        """As ``HeatmapHead.loss``, of heat maps that are there already."""
        targets = torch.stack([s.gt_fields.heatmaps for s in data_samples])
        weights = torch.cat(
            [s.gt_instance_labels.keypoint_weights for s in data_samples]
        )
        losses = dict(
            loss_kpt=self.head.loss_module(heatmaps, targets, weights)
        )
        if self.train_cfg.get('compute_acc', True):
            _, accuracy, _ = pose_pck_accuracy(
                output=to_numpy(heatmaps.float()),  # numpy has no bf16
                target=to_numpy(targets),
                mask=to_numpy(weights) > 0,
            )
            losses['acc_pose'] = heatmaps.new_tensor(accuracy)
        return losses

    def _apply(self, fn: Callable, recurse: bool = True):
        """Move the teacher along with the student."""
        for teacher in self._teacher:
            teacher._apply(fn, recurse)
        return super()._apply(fn, recurse)


def save_knowledge_token(checkpoint: str, path: str) -> None:
    """Write the token of a checkpoint of phase 1 to a file of its own.

    Args:
        checkpoint: Checkpoint of ``KnowledgeTokenTeacher``.
        path: File to write, of a few kilobytes.

    Raises:
        ValueError: If the checkpoint has no token.
    """
    state_dict = _read_state_dict(checkpoint)
    if TOKEN not in state_dict:
        raise ValueError(f'{checkpoint} has no {TOKEN}')
    # A clone: a view would be written with all that it is a view of.
    torch.save({'state_dict': {TOKEN: state_dict[TOKEN].clone()}}, path)


def _read_state_dict(path: str) -> dict[str, Tensor]:
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    return dict(checkpoint.get('state_dict', checkpoint))
