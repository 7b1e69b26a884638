"""Draw people and write five of their keypoints as CSV files.

python projects/plugin_example/draw.py data/five_points
"""

import csv
import json
import sys
from pathlib import Path

from pose_samples import generate

NAMES = ('nose', 'left_wrist', 'right_wrist', 'left_ankle', 'right_ankle')


def write_table(annotations: Path, images: str, table: Path) -> None:
    """Write the instances of a COCO file, a row for each."""
    coco = json.loads(annotations.read_text())
    [category] = coco['categories']
    files = {image['id']: image['file_name'] for image in coco['images']}
    with open(table, 'w', newline='') as file:
        writer = csv.writer(file)
        columns = [f'{name}_{axis}' for name in NAMES for axis in 'xy']
        box = ['left', 'top', 'right', 'bottom']
        writer.writerow(['file', *box, *columns])
        for instance in coco['annotations']:
            x, y, w, h = instance['bbox']
            cells = [f'{images}/{files[instance["image_id"]]}']
            cells += [x, y, x + w, y + h]
            for name in NAMES:
                first = 3 * category['keypoints'].index(name)
                u, v, flag = instance['keypoints'][first : first + 3]
                cells += [u, v] if flag else ['', '']
            writer.writerow(cells)


def main(folder: Path, num_train: int = 160, num_val: int = 32) -> None:
    """Draw into a new folder."""
    generate(
        folder,
        layouts=['coco'],
        num_train=num_train,
        num_val=num_val,
        image_size=(128, 96),
        max_people=1,
        difficulty='easy',
    )
    for split in ('train', 'val'):
        name = f'person_keypoints_{split}2017.json'
        write_table(
            folder / 'coco/annotations' / name,
            f'coco/{split}2017',
            folder / f'{split}.csv',
        )


if __name__ == '__main__':
    main(Path(sys.argv[1]))
