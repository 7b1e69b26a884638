"""Pictures that need no file: drawn people, always the same."""

import cv2
import numpy as np

#: Size (w, h) of a picture.
SIZE = (288, 384)
#: Joints of a standing figure, in parts of the picture: head, neck, hips, then
#: elbows and hands, knees and feet, left before right.
HEAD, NECK, HIPS = (0.5, 0.14), (0.5, 0.25), (0.5, 0.54)
ARMS = (((0.68, 0.37), (0.74, 0.53)), ((0.32, 0.37), (0.26, 0.53)))
LEGS = (((0.58, 0.74), (0.6, 0.93)), ((0.42, 0.74), (0.4, 0.93)))


def draw_pictures(number: int = 8, seed: int = 0) -> list[np.ndarray]:
    """Return pictures of one figure each, BGR, uint8, (H, W, 3).

    Args:
        number: Number of pictures; each has its own pose and colours.
        seed: Seed of them.
    """
    random = np.random.default_rng(seed)
    return [_draw(random) for _ in range(number)]


def _draw(random: np.random.Generator) -> np.ndarray:
    w, h = SIZE
    ground = random.integers(40, 216, (6, 5, 3)).astype(np.uint8)
    picture = cv2.resize(ground, SIZE, interpolation=cv2.INTER_CUBIC)
    noise = random.normal(0, 6, picture.shape)
    picture = (picture + noise).clip(0, 255).astype(np.uint8)

    def place(joint: tuple[float, float]) -> tuple[int, int]:
        x, y = np.array(joint) + random.normal(0, 0.025, 2)
        return int(x * w), int(y * h)

    skin, shirt, trousers = (
        tuple(int(c) for c in random.integers(0, 256, 3)) for _ in range(3)
    )
    head, neck, hips = (place(joint) for joint in (HEAD, NECK, HIPS))
    for color, start, limbs in (
        (skin, neck, ARMS),
        (trousers, hips, LEGS),
    ):
        for limb in limbs:
            line = np.array([start, *(place(joint) for joint in limb)])
            cv2.polylines(picture, [line], False, color, w // 14, cv2.LINE_AA)
    cv2.line(picture, neck, hips, shirt, w // 6, cv2.LINE_AA)
    cv2.ellipse(picture, head, (w // 13, h // 13), 0, 0, 360, skin, -1)
    return picture
