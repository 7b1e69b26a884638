"""Exchanged labels of left and right are found, and nothing else."""

import numpy as np
import pytest
from support.annotated_set import LINKS, NAMES, pose

from gtpt_mm.datasets.checks import check_sides
from gtpt_mm.datasets.checks.stack import Stack
from gtpt_mm.datasets.exchange import Instance, Picture

FACE = ['nose', 'left_eye', 'right_eye']
PAIRS = [(k, k + 1) for k in range(2, len(NAMES), 2)]
EYES = (len(NAMES) + 1, len(NAMES) + 2)


def draw(num: int) -> Stack:
    """Return people, half from behind, whose faces are labelled if seen."""
    rng = np.random.default_rng(0)
    points = np.zeros((num, len(NAMES) + len(FACE), 2))
    visible = np.full(points.shape[:2], 2)
    for row in range(num):
        body = pose(rng)
        up = (body[0] - body[1]) / np.linalg.norm(body[0] - body[1])
        left = np.array((-up[1], up[0]))  # of the one who faces the camera
        face = body[0] + np.outer((0, 6, 6), up) + np.outer((0, 4, -4), left)
        points[row] = np.concatenate([body, face + rng.normal(0, 0.4, (3, 2))])
        side = (body[2] - body[3]) @ left
        visible[row, len(NAMES) :] = 2 if side > 0 else 0
    names = NAMES + FACE
    owners = []
    for row in range(num):
        instance = Instance(points[row], visible[row], id=row)
        owners.append((Picture(f'{row}.jpg', 200, 240, [instance]), instance))
    return Stack(
        names=names,
        links=LINKS,
        pairs=[*PAIRS, EYES],
        points=points,
        visible=visible,
        boxes=np.full((num, 4), np.nan),
        sizes=np.tile((200, 240), (num, 1)),
        owners=owners,
    )


def exchange(stack: Stack, rows: np.ndarray, pairs: list) -> None:
    for a, b in pairs:
        for values in (stack.points, stack.visible):
            values[np.ix_(rows, (a, b))] = values[np.ix_(rows, (b, a))]


def find(stack: Stack) -> dict[int, str]:
    found = check_sides(stack, stack.labelled)
    return {f.annotation: f.value for f in found}


@pytest.fixture
def people():
    return draw(160)


def test_nothing_is_found_in_a_clean_set(people):
    assert find(people) == {}


def test_all_labels_exchanged_where_the_face_is_seen(people):
    front = np.flatnonzero(people.labelled[:, -1])
    assert 60 < len(front) < 100
    rows = front[::40]
    exchange(people, rows, people.pairs)
    found = find(people)
    assert set(found) == set(rows.tolist())
    assert all('all labels: ' in text for text in found.values())


def test_without_a_face_an_exchange_is_a_view_from_behind(people):
    behind = np.flatnonzero(~people.labelled[:, -1])[:4]
    exchange(people, behind, people.pairs)
    assert find(people) == {}


def test_legs_exchanged(people):
    legs = [p for p in PAIRS if NAMES[p[0]][5:] in ('hip', 'knee', 'ankle')]
    rows = np.arange(0, 160, 20)
    exchange(people, rows, legs)
    found = find(people)
    assert set(found) <= set(rows.tolist()) and len(found) >= 6
    assert 'left_hip, left_knee, left_ankle' in found[0]
