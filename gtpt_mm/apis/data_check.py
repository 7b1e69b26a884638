"""Check an annotated set: all findings at once, as text, JSON and HTML."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gtpt_mm.datasets import checks
from gtpt_mm.datasets.checks import KINDS, SEVERITIES, Finding, Stack
from gtpt_mm.datasets.exchange import KeypointSet

#: Folders to search for pictures, relative to that of the annotation file.
FOLDERS = ('images', '.', '../images', '../{stem}', '..')
#: Characters of a line of the table.
WIDTH = 110


@dataclass
class DataCheck:
    """Result of a check.

    Attributes:
        files: The annotation file of each split.
        images: Folder of the pictures.
        keypoint_set: Everything that could be read.
        stack: Its instances as arrays.
        findings: All findings, the worst first.
    """

    files: dict[str, Path]
    images: Path
    keypoint_set: KeypointSet
    stack: Stack
    findings: list[Finding]

    @property
    def num(self) -> dict[str, int]:
        """Number of findings of each severity."""
        counts = Counter(f.severity for f in self.findings)
        return {severity: counts[severity] for severity in SEVERITIES}

    def format(self) -> str:
        """Return a short table: a line for each kind, with first places."""
        pictures = len(self.keypoint_set.pictures)
        files = ', '.join(str(file) for file in self.files.values())
        labels = int(self.stack.labelled.sum())
        lines = [
            f'{files}: {pictures:,} pictures, {len(self.stack):,} instances, '
            f'{labels:,} labels of {len(self.stack.names)} keypoints'
        ]
        for kind, found in group(self.findings).items():
            about = KINDS[kind]
            lines.append(f'{about.severity:8}{len(found):>6,}  {about.title}')
            for finding in found[:2]:
                text = ': '.join(filter(None, (finding.place, finding.value)))
                lines.append(f'{"":16}{_cut(text)}')
            if len(found) > 2:
                lines.append(f'{"":16}and {len(found) - 2:,} more')
            lines.append(f'{"":14}> {about.remedy}')
        num = ', '.join(f'{n:,} {s}s' for s, n in self.num.items())
        return '\n'.join([*lines, num])

    def to_dict(self) -> dict:
        """Return plain types, ready for ``json.dumps``."""
        return dict(
            files={split: str(file) for split, file in self.files.items()},
            images=str(self.images),
            num_pictures=len(self.keypoint_set.pictures),
            num_instances=len(self.stack),
            keypoints=list(self.stack.names),
            num=self.num,
            findings=[finding.to_dict() for finding in self.findings],
        )

    def to_json(self) -> str:
        """Return :meth:`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=1)


def check_data(
    annotations: str | Path | Sequence[str | Path],
    images: str | Path | None = None,
    metainfo: str | Path | None = None,
) -> DataCheck:
    """Check COCO keypoint files and their pictures.

    Args:
        annotations: A file, several that are the splits of one set, or a
            folder that ``gtpt-mm data import`` has written.
        images: Folder of the pictures; looked for beside the files if None.
        metainfo: File with ``dataset_info`` to compare with; that of the
            folder if None.

    Raises:
        ValueError: If there is no such file or folder.
    """
    files, folder, info = _find(annotations, metainfo)
    if images is not None and not Path(images).is_dir():
        raise ValueError(f'{images} is not a folder with pictures')
    image_folder = Path(images) if images else folder or _guess_folder(files)
    keypoint_set, found = checks.read_files(files, image_folder, info)
    in_files, looks = checks.check_files(keypoint_set.pictures)
    stack = checks.stack_up(keypoint_set)
    found += in_files + checks.check_duplicates(looks)
    found += checks.check_pictures(keypoint_set)
    found += check_instances(stack)
    named = [replace(f, file=_file(f.file, files)) for f in found]
    return DataCheck(
        files=files,
        images=image_folder,
        keypoint_set=keypoint_set,
        stack=stack,
        findings=checks.sort_findings(named),
    )


def check_instances(stack: Stack) -> list[Finding]:
    """Check the instances of a set, each alone and with the others.

    A keypoint with its own finding is ignored when instances are compared, so
    that one mistake gives one finding.
    """
    if not len(stack):
        return []
    found = checks.check_points(stack) + checks.check_boxes(stack)
    trusted = stack.labelled.copy()
    _distrust(trusted, stack, found)
    found += checks.check_copies(stack) + checks.check_labels(stack)
    sides = checks.check_sides(stack, trusted)
    _distrust(trusted, stack, sides)
    return found + sides + checks.check_bones(stack, trusted)


def _distrust(trusted: np.ndarray, stack: Stack, found: list[Finding]) -> None:
    """Exclude the keypoints of findings, in place."""
    rows: dict[tuple, int] = {
        (picture.split, picture.name, instance.id): row
        for row, (picture, instance) in enumerate(stack.owners)
    }
    for finding in found:
        if KINDS[finding.kind].is_local:
            place = (finding.file, finding.picture, finding.annotation)
            trusted[rows[place], list(finding.keypoints)] = False


def group(findings: list[Finding]) -> dict[str, list[Finding]]:
    """Return findings by kind, in their order."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.kind, []).append(finding)
    return groups


def _find(
    annotations: str | Path | Sequence[str | Path],
    metainfo: str | Path | None,
) -> tuple[dict[str, Path], Path | None, Mapping | None]:
    """Return the files by split, the folder of pictures, and the metainfo."""
    if isinstance(annotations, str | Path):
        annotations = [annotations]
    paths = [Path(path) for path in annotations]
    info = _read_metainfo(Path(metainfo)) if metainfo else None
    if len(paths) == 1 and paths[0].is_dir():
        from gtpt_mm.datasets.exchange.folder import read_folder

        own = read_folder(paths[0])
        return own.ann_files, own.image_folder, info or own.metainfo
    for path in paths:
        if not path.exists():
            raise ValueError(f'{path} does not exist')
        if not path.is_file():
            raise ValueError(
                f'{path} is not a COCO keypoint file; give one, or a folder '
                'that `gtpt-mm data import` has written'
            )
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return dict(zip(stems, paths, strict=True)), None, info
    return {str(path): path for path in paths}, None, info


def _read_metainfo(path: Path) -> Mapping:
    from mmengine.config import Config

    if not path.is_file():
        raise ValueError(f'the file of metainfo, {path}, does not exist')
    info = Config.fromfile(str(path)).get('dataset_info')
    if info is None:
        raise ValueError(f'{path} has no dict named dataset_info')
    return info.to_dict()


def _guess_folder(files: Mapping[str, Path]) -> Path:
    """Return the folder that holds most of the first pictures."""
    best, most = Path('.'), -1
    for file in files.values():
        try:
            content = json.loads(file.read_text(encoding='utf-8'))
            names = [str(i['file_name']) for i in content['images'][:50]]
        except (ValueError, KeyError, TypeError):
            names = []  # a finding of the file
        for folder in FOLDERS:
            path = file.parent / folder.format(stem=file.stem)
            num = sum((path / name).is_file() for name in names)
            if num > most:
                best, most = path, num
    return best


def _file(split: str, files: Mapping[str, Path]) -> str:
    return files[split].name if split in files else split


def _cut(text: str) -> str:
    text = ' '.join(text.split())
    return text if len(text) <= WIDTH else f'{text[: WIDTH - 4]} ...'
