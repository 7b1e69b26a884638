"""Detectors of torchvision."""

from typing import Any

import numpy as np
import torch

from .base import Boxes, Detector, DetectorOptions, find_people
from .files import get_file, is_here, store_file

#: Short names.
NAMES = {
    'fasterrcnn': 'fasterrcnn_resnet50_fpn_v2',
    'ssdlite': 'ssdlite320_mobilenet_v3_large',
}


class TorchvisionDetector(Detector):
    """People by a detector of torchvision, trained on COCO.

    Args:
        name: Name of the detector, for messages.
        model: Name in torchvision.
        options: Device, thresholds, weights.

    Raises:
        ValueError: If torchvision has no such detector.
    """

    same_size = True

    def __init__(
        self, name: str, model: str, options: DetectorOptions
    ) -> None:
        from torchvision import models

        known = models.list_models(module=models.detection)
        if model not in known:
            raise ValueError(
                f'torchvision has no detector {model!r}, but '
                f'{", ".join(known)}'
            )
        super().__init__(name, options)
        self.model = model
        self.public = models.get_model_weights(model).DEFAULT

    @property
    def is_here(self) -> bool:
        """Whether the weights are on this machine."""
        return is_here(self.options.weights or self.public.url)

    def build(self) -> torch.nn.Module:
        """Return the network with its weights."""
        from torchvision import models

        if self.options.weights is None:
            store_file(self.public.url, self.name)
            # torchvision loads them: some of its weights need other norms.
            network = models.get_model(self.model, weights=self.public)
        else:
            network = models.get_model(
                self.model, weights=None, weights_backbone=None
            )
        if self.options.weights not in (None, 'random'):
            file = get_file(self.options.weights, self.name)
            network.load_state_dict(torch.load(file, weights_only=True))
        return network.to(self.options.torch_device).eval()

    @torch.inference_mode()
    def detect(self, network: Any, images: list[np.ndarray]) -> list[Boxes]:
        """Run the network with its own post-processing."""
        device = self.options.torch_device
        inputs = [
            torch.from_numpy(image[..., ::-1].copy())
            .to(device)
            .permute(2, 0, 1)
            .float()
            / 255
            for image in images
        ]
        people = find_people(
            self.public.meta['categories'], self.options, self.name
        )
        found = []
        for result in network(inputs):
            kept = np.isin(result['labels'].cpu().numpy(), people)
            boxes = result['boxes'].cpu().numpy()
            found.append((boxes[kept], result['scores'].cpu().numpy()[kept]))
        return found
