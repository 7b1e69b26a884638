"""Picture files: they exist, are whole and have the annotated size."""

import hashlib
import io
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageOps

from ..exchange import Picture
from .duplicates import SIDE, Look, look_at
from .findings import Finding


def check_files(
    pictures: Iterable[Picture],
) -> tuple[list[Finding], list[tuple[Picture, Look]]]:
    """Read all pictures once.

    Returns:
        Findings, and the fingerprints of the pictures that could be read.
    """
    found, looks = [], []
    for picture in pictures:
        place = (picture.split, picture.name)
        content = picture.content
        if content is None and picture.path is None:
            found.append(Finding('picture-missing', '', *place))
            continue
        try:
            if content is None:
                content = picture.path.read_bytes()  # type: ignore[union-attr]
            size, grey = _read(content)
        except Exception as error:  # whatever Pillow raises for torn files
            text = ' '.join(str(error).split()).partition(' <')[0]
            found.append(Finding('picture-torn', text, *place))
            continue
        looks.append((picture, look_at(grey, hashlib.sha1(content).digest())))
        written = (picture.width, picture.height)
        if not all(written):  # read from the file, as in training
            picture.width, picture.height = size
        elif size != written:
            text = f'{written} is written, the file has {size}'
            found.append(Finding('picture-size', text, *place))
    return found, looks


def _read(content: bytes) -> tuple[tuple[int, int], np.ndarray]:
    """Return (w, h) after EXIF rotation, and grey levels, maybe reduced."""
    with Image.open(io.BytesIO(content)) as image:
        w, h = image.size
        if image.getexif().get(274) in range(5, 9):  # turned by EXIF
            w, h = h, w
        image.draft('L', (4 * SIDE, 4 * SIDE))  # JPEG decodes to less
        image.load()
        turned = ImageOps.exif_transpose(image)
        return (w, h), np.asarray(turned.convert('L'))
