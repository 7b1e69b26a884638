"""Detectors of transformers: RT-DETR, D-FINE and their relatives."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gtpt_mm.apis.weights import VARIABLE
from gtpt_mm.apis.weights.fetch import check_online, check_reachable

from .base import Boxes, Detector, DetectorOptions, find_people, require
from .files import weights_folders


class TransformersDetector(Detector):
    """People by a detector of the Hugging Face Hub or of a local folder.

    Args:
        name: Name of the detector, for messages.
        model: ``OWNER/NAME`` on the Hub, or a folder with ``config.json``.
        options: Device, thresholds; ``weights='random'`` reads only the
            config.

    Raises:
        ImportError: If transformers is not installed.
    """

    def __init__(
        self, name: str, model: str, options: DetectorOptions
    ) -> None:
        require('transformers', 'transformers', 'transformers')
        if options.weights not in (None, 'random'):
            raise ValueError(
                f'the weights of {name} are those of its folder, got '
                f'weights={options.weights!r}; give hf:FOLDER'
            )
        super().__init__(name, options)
        self.model = model

    @property
    def is_here(self) -> bool:
        """Whether the weights are on this machine."""
        return self._find_folder() is not None

    def build(self) -> tuple[Any, Any]:
        """Return the network and its processor of images."""
        from transformers import (
            AutoConfig,
            AutoImageProcessor,
            AutoModelForObjectDetection,
        )

        folder = self._find_folder() or self._fetch()
        processor = AutoImageProcessor.from_pretrained(folder)
        if self.options.weights == 'random':
            config = AutoConfig.from_pretrained(folder)
            network = AutoModelForObjectDetection.from_config(config)
        else:
            network = AutoModelForObjectDetection.from_pretrained(folder)
        return network.to(self.options.torch_device).eval(), processor

    @torch.inference_mode()
    def detect(
        self, network: tuple[Any, Any], images: list[np.ndarray]
    ) -> list[Boxes]:
        """Run the network with its own post-processing."""
        model, processor = network
        inputs = processor(
            images=[image[..., ::-1].copy() for image in images],
            return_tensors='pt',
        ).to(self.options.torch_device)
        results = processor.post_process_object_detection(
            model(**inputs),
            # It keeps scores above the threshold, we also those equal to it.
            threshold=self._below_threshold(),
            target_sizes=[image.shape[:2] for image in images],
        )
        names = model.config.id2label
        people = find_people(
            [names[i] for i in range(len(names))], self.options, self.name
        )
        found = []
        for result in results:
            kept = np.isin(result['labels'].cpu().numpy(), people)
            boxes = result['boxes'].cpu().numpy()
            found.append((boxes[kept], result['scores'].cpu().numpy()[kept]))
        return found

    def _below_threshold(self) -> float:
        return float(np.nextafter(np.float32(self.options.threshold), -1))

    def _find_folder(self) -> Path | None:
        """Return the folder of the model, None if it must be fetched."""
        from huggingface_hub import snapshot_download

        mirrored = [folder / self.model for folder in weights_folders()]
        for folder in (Path(self.model).expanduser(), *mirrored):
            if (folder / 'config.json').is_file():
                return folder
        try:
            folder = Path(snapshot_download(self.model, local_files_only=True))
        except Exception:  # not in the cache, or not a name of the Hub
            return None
        has_weights = next(folder.glob('*.safetensors'), None) is not None
        return folder if has_weights else None

    def _fetch(self) -> Path:
        from huggingface_hub import constants, snapshot_download

        endpoint = os.environ.get('HF_ENDPOINT') or constants.ENDPOINT
        try:
            check_online()
            check_reachable(f'{endpoint}/api/models/{self.model}')
            return Path(
                snapshot_download(
                    self.model,
                    endpoint=endpoint,
                    allow_patterns=['*.json', '*.safetensors'],
                )
            )
        except Exception as error:  # its client changes: requests, httpx, ...
            raise ValueError(
                f'the detector {self.name} cannot be fetched from the Hub: '
                f'{str(error)[:300]}. On a computer with network: hf download '
                f'{self.model} --local-dir FOLDER/{self.model}; copy FOLDER '
                f'and set {VARIABLE} to it, or choose another detector'
            ) from error
