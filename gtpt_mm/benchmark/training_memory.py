"""Memory of a training step, estimated without computing anything."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from gtpt_mm.models.heads.multi_dataset_head import MultiDatasetHead

#: Moments of Adam and AdamW for each parameter.
NUM_MOMENTS = 2
#: Image size (h, w) of a config without one.
SIZE = (256, 192)


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of tensors that a training step with Adam or AdamW holds.

    It does not include the memory of CUDA, its libraries and the allocator
    (1 GB and more), the batch, targets, and short-lived results.

    Attributes:
        parameters: Trainable parameters in float32.
        copies: Their copies in half precision, which autocast keeps from the
            forward pass to the end of the backward pass; 0 in float32.
        per_image: Tensors of each image that the backward pass needs.
        layer: With checkpointing, tensors recomputed for each image, one layer
            at a time; else 0.
    """

    parameters: int
    copies: int
    per_image: int
    layer: int = 0

    def peak(
        self, batch: int, num_processes: int = 1, divided: bool = False
    ) -> int:
        """Return the bytes at the peak of a step, in one process.

        The peak is at the end of the forward pass, with all activations and no
        gradient, or in the optimizer's step, with all gradients and no
        activation; torch's optimizers on GPUs then hold one more copy.

        Args:
            batch: Images of this process.
            num_processes: With several, DistributedDataParallel has buckets of
                the size of the gradients.
            divided: Whether ZeRO divides the moments among them.
        """
        moments = NUM_MOMENTS * self.parameters
        if divided:
            moments //= num_processes
        buckets = self.parameters if num_processes > 1 else 0
        activations = batch * (self.per_image + self.layer)
        worst = max(self.copies + activations, 2 * self.parameters)
        return self.parameters + moments + buckets + worst


def estimate_training_memory(
    cfg: Config, dtype: torch.dtype = torch.float32
) -> TrainingMemory:
    """Estimate the memory of a training from its config.

    The model runs on tensors without data, and what autograd saves is added
    up; a model of any size takes seconds and no memory.

    Args:
        cfg: Config of a top-down model; ``model.backbone.with_cp`` counts. A
            batch for several datasets has as many images of each.
        dtype: Type of autocast: float32 for none, bfloat16 or float16.
    """
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    one, two = (_run(cfg, dtype, num) for num in (1, 2))
    layer = 0
    if cfg.model.backbone.get('with_cp', False):
        plain = Config(dict(model=cfg.model.to_dict()))
        plain.model.backbone.with_cp = False
        whole = _run(plain, dtype, 2).saved - _run(plain, dtype, 1).saved
        layer = whole - (two.saved - one.saved)
        layer //= one.depth * one.images
    more = two.saved - one.saved
    per_image = more // one.images
    return TrainingMemory(
        parameters=one.parameters,
        copies=one.saved - more if dtype != torch.float32 else 0,
        per_image=per_image,
        layer=layer,
    )


@dataclass(frozen=True)
class _Run:
    parameters: int
    saved: int
    depth: int
    images: int


def _run(cfg: Config, dtype: torch.dtype, batch: int) -> _Run:
    """Run the model forwards on images without data, a batch per dataset."""
    with FakeTensorMode():
        # It tests its draws, but tensors without data cannot be tested.
        with mock.patch.object(nn.init, 'trunc_normal_'):
            model = MODELS.build(cfg.model).train()
        own = {
            p.untyped_storage()._cdata
            for p in (*model.parameters(), *model.buffers())
        }
        is_multiple = isinstance(model.head, MultiDatasetHead)
        counts = (batch,) * (len(model.head.names) if is_multiple else 1)
        size = cfg.model.backbone.get('img_size', SIZE)
        img = torch.empty(sum(counts), 3, *size)
        with (
            torch.autocast('cpu', dtype, enabled=dtype != torch.float32),
            _count_saved(own | {img.untyped_storage()._cdata}) as sizes,
        ):
            if is_multiple:
                feats = model.extract_feat(img, counts)
                model.head.train_forward(feats, counts)
            else:
                model.head.forward(model.extract_feat(img))
        parameters = sum(
            p.nbytes for p in model.parameters() if p.requires_grad
        )
    depth = getattr(model.backbone, 'depth', 1)
    return _Run(parameters, sum(sizes.values()), depth, sum(counts))


@contextlib.contextmanager
def _count_saved(left_out: set[int]) -> Iterator[dict[int, int]]:
    """Yield the bytes of the storages that autograd saves, by storage."""
    sizes: dict[int, int] = {}
    kept = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in left_out:
            sizes[storage._cdata] = storage.nbytes()
            kept.append(storage)  # or its id would be reused
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes
