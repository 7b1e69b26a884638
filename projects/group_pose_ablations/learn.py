"""Train both kinds of self-attention on drawn people, on the same budget.

    gtpt-mm sample-data data/group_pose --layout coco --num-train 1500 \\
        --num-val 150 --difficulty easy --max-people 3 --image-size 192 160
    PYTHONPATH=. python projects/group_pose_ablations/learn.py

One run after the other, each through ``mim train mmpose``; finished runs are
not repeated. The table is printed at the end; ``--table`` only prints it, from
the finished runs.
"""

from pathlib import Path

from gtpt_mm.benchmark import Comparison, Training

ROOT = Path(__file__).resolve().parents[2]
NAME = 'group-pose_res18{}_1xb8-20e_sample-coco-96x144.py'
CONFIGS = {
    'group': ROOT
    / 'configs/body_2d_keypoint/group_pose/sample'
    / NAME.format(''),
    'standard': ROOT
    / 'projects/group_pose_ablations/configs/sample'
    / NAME.format('_standard-attention'),
}
COLUMNS = ('AP', 'AP .5', 'AP .75', 'AR')


def read_result(training: Training) -> dict[str, float] | None:
    """Return the last metrics of a run, None if it has not finished."""
    metrics = training.last_metrics('coco/AP')
    if metrics is None:
        return None
    return {key: metrics[f'coco/{key}'] for key in COLUMNS}


COMPARISON = Comparison(
    title='self-attention',
    configs=CONFIGS,
    columns=COLUMNS,
    read=read_result,
    root=ROOT,
    digits=3,
)

if __name__ == '__main__':
    COMPARISON.main(__doc__, 'work_dirs/group_pose_ablations', seeds=[42, 43])
