"""Duplicate pictures: the same bytes, or nearly the same pixels."""

# N pictures

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from ..exchange import Picture
from .findings import Finding

#: Bits of 64 in which the hashes of nearly equal pictures may differ.
MAX_BITS = 6
#: Side of the thumbnails that are then compared.
SIDE = 32
#: Largest difference of their pixels, of 255 grey levels. A moved paw differs
#: by more, another quality or size of the same file by less.
MAX_LEVELS = 16.0


@dataclass
class Look:
    """Fingerprint of a picture.

    Attributes:
        digest: Hash of the bytes of the file.
        bits: dHash: whether each of 8 x 8 cells is brighter than its right
            neighbour.
        thumbnail: Grey levels around their mean, (SIDE, SIDE).
    """

    digest: bytes
    bits: int
    thumbnail: np.ndarray


def look_at(grey: np.ndarray, digest: bytes) -> Look:
    """Return the fingerprint of a picture, grey levels (H, W)."""
    cells = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(int)
    bits = np.packbits(cells[:, :-1] > cells[:, 1:])
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    thumbnail = small.astype(np.int16)
    thumbnail -= np.int16(small.mean())
    return Look(digest, int.from_bytes(bits.tobytes(), 'big'), thumbnail)


def check_duplicates(looks: list[tuple[Picture, Look]]) -> list[Finding]:
    """Find duplicate pictures, across splits and within one.

    A picture is reported once, with the twin of another split if there is
    one, else with the first.
    """
    kinds = ('two-splits', 'near-splits', 'same-picture', 'near-picture')
    worst: dict[int, tuple[int, int, int]] = {}
    for first, second in _pairs([look for _, look in looks]):
        (a, look_a), (b, look_b) = looks[first], looks[second]
        is_exact = look_a.digest == look_b.digest
        kind = 2 * (a.split == b.split) + (not is_exact)
        worst[second] = min(
            worst.get(second, (9, 0, 0)), (kind, first, second)
        )
    found = []
    for kind, first, second in worst.values():
        (a, look_a), (b, look_b) = looks[first], looks[second]
        text = f'as {a.name}' + (f' of {a.split}' if a.split else '')
        if kind % 2:
            off = np.abs(look_a.thumbnail - look_b.thumbnail).max()
            text += f', up to {off:.0f} of 255 levels apart'
        found.append(Finding(kinds[kind], text, b.split, b.name))
    return found


def _pairs(looks: list[Look]) -> Iterator[tuple[int, int]]:
    """Yield indices (first, second) of nearly equal pictures."""
    if not looks:
        return
    bits = np.array([look.bits for look in looks], np.uint64)
    thumbnails = np.stack([look.thumbnail for look in looks])
    for first, others in _candidates(bits):
        off = np.abs(thumbnails[others] - thumbnails[first])
        near = off.reshape(len(others), -1).max(1) <= MAX_LEVELS
        for second in others[near].tolist():
            yield first, second


def _candidates(bits: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each index with later ones whose hash differs little.

    Hashes that differ in fewer than 8 bits agree in one of their 8 bytes, so
    only those that share a byte are compared.
    """
    later: dict[int, list[np.ndarray]] = {}
    for byte in range(8):
        part = (bits >> np.uint64(8 * byte)) & np.uint64(255)
        for value in np.unique(part):
            same = np.flatnonzero(part == value)
            for i, first in enumerate(same[:-1].tolist()):
                rest = same[i + 1 :]
                num = _count_bits(bits[rest] ^ bits[first])
                if (near := rest[num <= MAX_BITS]).size:
                    later.setdefault(first, []).append(near)
    for first in sorted(later):
        yield first, np.unique(np.concatenate(later[first]))


def _count_bits(values: np.ndarray) -> np.ndarray:
    """Return the number of set bits of 64-bit integers, (N,)."""
    each = values.view(np.uint8).reshape(len(values), 8)
    return np.unpackbits(each, axis=1).sum(1)
