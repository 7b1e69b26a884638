"""Random moments at which a training is killed."""

import random

PLACES = (
    'load',  # a sample is read, by a worker or this process
    'step',  # gradients are there, the weights are as before
    'after step',
    'epoch',  # its last hooks are done
    'validation',
    'save',  # before a byte is written
    'write',  # half of a file is written
    'replace',  # the file is whole, but has not got its name
    'replaced',
)


def draw_moments(seed, num_steps, count) -> list[tuple[int, str]]:
    """Return random moments in the order of a training."""
    rng = random.Random(seed)
    steps = sorted(rng.choices(range(num_steps), k=count))
    return [(step, rng.choice(PLACES)) for step in steps]
