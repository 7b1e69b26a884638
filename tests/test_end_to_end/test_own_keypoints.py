"""The walk from an annotated set to a model, by the commands of its page."""

import json
import re
import shlex

import pytest

from gtpt_mm.cli import main

PAGE = 'docs/your_own_keypoints.md'
#: What the page trains, and what suffices to see that every step works.
EPOCHS = ('--epochs 25', '--epochs 1')
#: Lines that a shorter training, or other random numbers, change.
TRAINED = re.compile(r'^(\d+ epochs,|AP |SHA-256|\.\.\. |gtpt-mm )')


def read_walk(page: str) -> list[tuple[str, list[str]]]:
    """Return each command of gtpt-mm on a page, with its printed lines."""
    walk: list[tuple[str, list[str]]] = []
    for kind, block in re.findall(r'```(\w+)\n(.*?)```', page, re.DOTALL):
        for line in block.splitlines():
            if kind == 'console' and line.startswith('$ '):
                walk.append((line.removeprefix('$ '), []))
            elif kind == 'console':
                walk[-1][1].append(line)
            elif kind == 'bash' and line.startswith('gtpt-mm '):
                walk.append((line, []))
    return walk


def run(line: str, codes: tuple[int, ...] = (0,)) -> None:
    """Run a command as the shell would."""
    program, *args = shlex.split(line)
    assert program == 'gtpt-mm'
    assert main(args) in codes, line


def is_shown(words: str, lines: list[str]) -> bool:
    """Return whether a line is there; one with ... at its end may go on."""
    start = words.removesuffix('...')
    return words in lines or (
        start != words and any(line.startswith(start) for line in lines)
    )


def test_page(repo_root, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    walk = read_walk((repo_root / PAGE).read_text())
    names = [line.split()[1] for line, _ in walk]
    assert names == [
        'sample-data', 'data', 'data', 'finetune', 'predict', 'pack',
    ]  # fmt: skip
    for line, printed in walk:
        if 'best_PCK' in line:
            [best] = (tmp_path / 'my_pose/work').glob('best_PCK_*.pth')
            line = re.sub(r'best_PCK_epoch_\d+\.pth', best.name, line)
        run(line.replace(*EPOCHS))
        shown = capfd.readouterr().out.splitlines()
        for words in printed:
            assert TRAINED.match(words) or is_shown(words, shown), words
    report = json.loads((tmp_path / 'my_pose/report.json').read_text())
    assert 0 <= report['PCK@0.1'] <= 1


@pytest.mark.parametrize(
    'name, model, keypoints',
    [('bee', 'vitpose-s', 32), ('mirror_mouse', 'gtpt-t', 17)],
)
def test_real_set(
    name, model, keypoints, shared_dir, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    source = shared_dir / 'data/sets' / name
    few = tmp_path / name
    few.mkdir()
    (few / 'images').symlink_to(source / 'images')
    for split, count in dict(train=12, val=6).items():
        write_first(source / f'{split}.json', count, few / f'{split}.json')
    run(f'gtpt-mm data import {name} my_set --link')
    assert f'{keypoints} keypoints' in capfd.readouterr().out
    run('gtpt-mm data check my_set --html check.html', codes=(0, 1))
    assert (tmp_path / 'check.html').is_file()
    run(
        f'gtpt-mm finetune {model} --data my_set --dir my_pose --from scratch '
        '--device cpu --epochs 1'
    )
    shown = capfd.readouterr().out.splitlines()
    assert any(re.match(r'AP [\d.]+, PCK@0.1 [\d.]+', s) for s in shown)
    assert (tmp_path / 'my_pose/report.html').is_file()
    next_commands = [line for line in shown if line.startswith('gtpt-mm ')]
    assert len(next_commands) == (3 if model.startswith('vitpose') else 2)
    for line in next_commands:
        run(line)
    lines = (tmp_path / 'my_pose/predicted/predictions.jsonl').read_text()
    first = json.loads(lines.splitlines()[0])
    assert len(first['people'][0]['keypoints']) == keypoints


def write_first(source, count: int, file) -> None:
    """Write a COCO file with the first pictures of another one."""
    content = json.loads(source.read_text())
    content['images'] = content['images'][:count]
    ids = {image['id'] for image in content['images']}
    content['annotations'] = [
        a for a in content['annotations'] if a['image_id'] in ids
    ]
    file.write_text(json.dumps(content))
