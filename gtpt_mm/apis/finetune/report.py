"""The page at the end of a training."""

import json
import shlex
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from gtpt_mm.apis.analysis import Analysis, Case, analyze_results
from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.datasets.exchange.folder import METAINFO, OwnSet
from gtpt_mm.visualization.curves import read_scalars
from gtpt_mm.visualization.html_report import Report, new_figure

from .project import Project

#: Number of pictures at the end of the page.
NUM_WORST = 20
#: BGR.
TRUTH_COLOR, PREDICTION_COLOR = (80, 200, 60), (60, 60, 230)
#: Columns of ``Analysis.per_keypoint`` and their names on the page.
COLUMNS = dict(
    keypoint='keypoint',
    labelled='labelled',
    median_error='median error (longer side)',
    pck='PCK@0.1',
)


def write_report(
    project: Project, checkpoint: Path, results: Path
) -> dict[str, float]:
    """Write ``report.html`` and ``report.json``.

    Args:
        project: The training.
        checkpoint: The weights that were tested.
        results: COCO's file of their results.

    Returns:
        AP and PCK@0.1 of the longer box side.
    """
    own_set = project.own_set
    file = str(own_set.folder / METAINFO)
    metainfo = parse_pose_metainfo(dict(from_file=file))
    gt = own_set.ann_files['val']
    found = analyze_results(gt, results, metainfo, own_set.image_folder)
    numbers = {'AP': found.ap, 'PCK@0.1': found.pck}
    report = Report(f'{project.config.stem}: {metainfo["dataset_name"]}')
    report.text(
        f'AP {found.ap:.3f} and PCK@0.1 {found.pck:.3f} (a tenth of the '
        f'longer side of the box) on the validation split, {checkpoint.name}.'
    )
    _add_curves(report, project)
    report.heading('Error by keypoint')
    rows = [[row[key] for key in COLUMNS] for row in found.per_keypoint]
    report.table(list(COLUMNS.values()), rows)
    report.heading('Next')
    report.code('\n'.join(next_commands(project, checkpoint)))
    report.heading('The config')
    report.code(project.config.read_text(encoding='utf-8'))
    _add_worst(report, found, metainfo)
    report.write(project.report)
    with atomic_write(project.report.with_suffix('.json')) as temporary:
        content = dict(numbers, per_keypoint=found.per_keypoint)
        Path(temporary).write_text(json.dumps(content, indent=1))
    return numbers


def next_commands(project: Project, checkpoint: Path) -> list[str]:
    """Return the commands that use the model: predict, export, pass on.

    A ViTPose is converted for transformers, any other model is packed.
    """
    cfg = Config.fromfile(project.config)
    folder, kind = project.folder, cfg.model.type
    config, weights = shorten(project.config), shorten(checkpoint)
    own_set = project.own_set
    dataset = ''
    if kind == 'MultiDatasetPoseEstimator':
        dataset = f' --dataset {cfg.model.test_cfg.dataset}'
    predict = (
        f'gtpt-mm predict {shorten(_find_pictures(own_set))} --model '
        f'{config} --weights {weights} --out {shorten(folder / "predicted")}'
        f'{dataset}'
    )
    export = (
        f'gtpt-mm export {config} {weights} --out '
        f'{shorten(folder / f"{project.config.stem}.onnx")} --decode{dataset}'
    )
    if kind != 'BottomupPoseEstimator':
        predict += ' --detector whole_image'
        if 'val' in own_set.ann_files:
            export += (
                f' --pictures {shorten(own_set.image_folder)} '
                f'--annotations {shorten(own_set.ann_files["val"])}'
            )
    if cfg.model.backbone.type == 'ViTPose':
        target = shorten(folder / 'transformers')
        pass_on = f'gtpt-mm convert {weights} {target} --to huggingface'
    else:
        pass_on = (
            f'gtpt-mm pack {config} {weights} {shorten(folder / "packed")}'
        )
    return [predict, export, pass_on]


def _find_pictures(own_set: OwnSet) -> Path:
    """Return a folder with pictures: the first one's, if they are nested."""
    folder = own_set.image_folder
    split = 'val' if 'val' in own_set.ann_files else 'train'
    content = json.loads(own_set.ann_files[split].read_text('utf-8'))
    names = [Path(image['file_name']) for image in content['images']]
    if any(name.parent == Path() for name in names) or not names:
        return folder
    return (folder / names[0]).parent


def shorten(path: Path) -> str:
    """Return a path for a shell, relative if it is below this folder."""
    here = Path.cwd()
    if path.is_relative_to(here):
        path = path.relative_to(here)
    return shlex.quote(str(path))


def _add_curves(report: Report, project: Project) -> None:
    """Add losses and metrics over the epochs."""
    try:
        rows = read_scalars(project.work_dir)
    except FileNotFoundError:
        return
    report.heading('Curves')
    figure = new_figure(9, 3.5)
    left, right = figure.subplots(1, 2)
    train = [row for row in rows if 'loss' in row]
    for key in sorted({k for row in train for k in row if 'loss' in k}):
        points = [(row['iter'], row[key]) for row in train if key in row]
        left.plot(*zip(*points, strict=True), label=key)
    left.set(xlabel='iteration', ylabel='loss', yscale='log')
    names = sorted({k for row in rows for k in row if _is_shown(k)})
    for name in names:
        points = [(row['step'], row[name]) for row in rows if name in row]
        right.plot(*zip(*points, strict=True), marker='o', label=name)
    right.set(xlabel='epoch', ylim=(0, 1))
    right.grid(alpha=0.3)
    for axes in (left, right):
        if axes.lines:
            axes.legend()
    report.plot(figure, 'Training and validation.')


def _is_shown(name: str) -> bool:
    return name == 'PCK' or name.endswith('/AP')


def _add_worst(report: Report, found: Analysis, metainfo: dict) -> None:
    """Add the worst instances, with green labels and red predictions."""
    report.heading(f'The {NUM_WORST} worst')
    report.text('Labels are green, predictions red.')
    for case in found.worst(NUM_WORST):
        picture = cv2.imread(str(case.image))
        if picture is not None:
            drawn = _draw(picture, case, metainfo['skeleton_links'])
            report.picture(drawn, f'{case.image.name}: OKS {case.oks:.2f}')


def _draw(
    picture: np.ndarray, case: Case, links: list[tuple[int, int]]
) -> np.ndarray:
    """Return the instance with some of its surroundings, drawn on."""
    x, y, w, h = case.gt['bbox']
    pad = 0.25 * max(w, h)
    height, width = picture.shape[:2]
    x1, y1 = int(max(0, x - pad)), int(max(0, y - pad))
    x2, y2 = int(min(width, x + w + pad)), int(min(height, y + h + pad))
    cut = picture[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    scale = 360 / max(cut.shape[1], 1)
    cut = cv2.resize(cut, None, fx=scale, fy=scale)
    truth = np.array(case.gt['keypoints'], float).reshape(-1, 3)
    poses = [(truth, TRUTH_COLOR)]
    if case.prediction is not None:
        points = np.array(case.prediction['keypoints'], float).reshape(-1, 3)
        points[:, 2] = truth[:, 2]
        poses.append((points, PREDICTION_COLOR))
    for points, color in poses:
        xy = np.round((points[:, :2] - (x1, y1)) * scale)
        xy = np.clip(xy, -9999, 9999).astype(int)
        for a, b in links:
            if points[a, 2] > 0 and points[b, 2] > 0:
                ends = tuple(map(int, xy[a])), tuple(map(int, xy[b]))
                cv2.line(cut, *ends, color, 1, cv2.LINE_AA)
        for k in np.flatnonzero(points[:, 2] > 0):
            center = tuple(map(int, xy[k]))
            cv2.circle(cut, center, 3, color, -1, cv2.LINE_AA)
    return cut
