"""Compare width and height of images with their files."""

import math
from collections.abc import Callable

from ...messages import list_some
from .findings import Findings

_RESIZED = (
    'have another size (w, h) than the annotations say, so the keypoints are '
    'wrong'
)
#: Tags of EXIF that swap width and height of the stored picture.
_ORIENTATION, _TRANSPOSED = 274, range(5, 9)


def mend_sizes(
    content: dict,
    find: Callable[[dict], str],
    findings: Findings,
    num_looked_at: int = 100,
) -> None:
    """Compare width and height with the image files.

    It first opens images without a size, ``num_looked_at`` images with
    instances outside the annotated size, and some of the others; if one of
    them differs, it opens all images. Files that do not exist are skipped.

    Args:
        content: Content of the annotation file, changed in place.
        find: Returns the path of an image.
        findings: Receives repairs and mistakes.
        num_looked_at: Number of images to open at least.

    Raises:
        AnnotationError: If a size and the file are missing, or most files
            were resized after they had been annotated.
    """
    ends = _ends(content)
    looked_at = _choose(content['images'], ends, num_looked_at)
    if any(_differs(image, find) for image in looked_at):
        looked_at = content['images']
    resized = [
        place
        for image in looked_at
        if (place := _mend_size(image, find, ends, findings))
    ]
    if 2 * len(resized) > len(looked_at):
        findings.error(
            f'image files {_RESIZED}; annotate the images that are there, or '
            'scale keypoints and boxes',
            *resized,
        )
    elif resized:
        findings.warnings.append(
            f'some image files {_RESIZED}: {list_some(resized)}'
        )
    findings.check()


def _choose(
    images: list[dict],
    ends: dict[int, tuple[float, float]],
    num: int,
) -> list[dict]:
    """Return images without a size, some with instances outside, others."""
    without = [i for i in images if not _has_size(i)]
    left = [i for i in images if _has_size(i) and _leaves(i, ends)]
    chosen = without + left[:num] + images[:: max(len(images) // num, 1)]
    return list({image['id']: image for image in chosen}.values())


def _has_size(image: dict) -> bool:
    return all(
        isinstance(image.get(key), (int, float))
        and math.isfinite(image[key])
        and image[key] > 0
        for key in ('width', 'height')
    )


def _ends(content: dict) -> dict[int, tuple[float, float]]:
    """Return how far right and down the boxes of each image reach."""
    ends: dict[int, tuple[float, float]] = {}
    for annotation in content.get('annotations', []):
        if 'bbox' in annotation:
            x, y, w, h = annotation['bbox']
            image = annotation['image_id']
            right, low = ends.get(image, (0, 0))
            ends[image] = (max(right, x + w), max(low, y + h))
    return ends


def _leaves(image: dict, ends: dict[int, tuple[float, float]]) -> bool:
    right, low = ends.get(image['id'], (0, 0))
    return right > image['width'] + 1 or low > image['height'] + 1


def _differs(image: dict, find: Callable[[dict], str]) -> bool:
    size = image_size(find(image))
    return size is not None and (
        not _has_size(image) or size != (image['width'], image['height'])
    )


def _mend_size(
    image: dict,
    find: Callable[[dict], str],
    ends: dict[int, tuple[float, float]],
    findings: Findings,
) -> str:
    """Mend the size of an image; describe it if it was resized."""
    size = image_size(find(image))
    if not _has_size(image):
        if size is None:
            findings.error(
                'width or height is missing or not a number, and there is '
                'no image file to read it from',
                f'image {image["id"]} ({find(image)})',
            )
        else:
            image['width'], image['height'] = size
            findings.mended['image sizes read from the files'] += 1
        return ''
    written = (image['width'], image['height'])
    if size in (None, written) or (
        size == written[::-1] and not _leaves(image, ends)
    ):
        return ''
    if _was_resized(image, size, ends):
        return f'{written} but {size} in {find(image)}'
    image['width'], image['height'] = size
    findings.mended['image sizes read from the files'] += 1
    return ''


def _was_resized(
    image: dict,
    size: tuple[int, int],
    ends: dict[int, tuple[float, float]],
) -> bool:
    """Whether instances fit the annotated size, but not that of the file.

    If the aspect ratio is the same, they may be wrong and still lie inside.
    """
    if image['id'] not in ends or _leaves(image, ends):
        return False
    w, h = image['width'], image['height']
    right, low = ends[image['id']]
    same_aspect = abs(size[0] * h - size[1] * w) <= max(size) + max(w, h)
    return same_aspect or right > size[0] + 1 or low > size[1] + 1


def image_size(file: str) -> tuple[int, int] | None:
    """Return (w, h) of an image as it is read; None if it cannot be."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            turned = image.getexif().get(_ORIENTATION) in _TRANSPOSED
            w, h = image.size
    except Exception:  # the file is reported when it is loaded
        return None
    return (h, w) if turned else (w, h)
