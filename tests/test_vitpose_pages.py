"""What the pages on ViTPose print: commands that work, counts that come out.

Nothing here computes: the models have shapes, no numbers.
"""

import argparse
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from gtpt_mm.apis import split_config
from gtpt_mm.benchmark.macs import count_operators

ROOT = Path(__file__).resolve().parents[1]
COCO = ROOT / 'configs/body_2d_keypoint/vitpose/coco'
SIX = ROOT / 'configs/multi_dataset/vitpose_plus/six_datasets'
AP10K = ROOT / 'configs/animal_2d_keypoint/vitpose/ap10k'
PAGES = [
    COCO / 'vitpose_coco.md',
    AP10K / 'vitpose_ap10k.md',
    SIX / 'vitpose_plus_six_datasets.md',
    ROOT / 'docs/models/vitpose.md',
]

# ------------------------------------------------------- start from MAE


def read_options(page: Path, word: str) -> dict:
    """Return the options of the page's command that has a word."""
    text = page.read_text().replace('\\\n', ' ')
    [line] = [li for li in text.splitlines() if word in li]
    parser = argparse.ArgumentParser()
    # As mmpose's tools/train.py reads them.
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_known_args(shlex.split(line))[0].cfg_options


def make_encoder(embed_dims: int, depth: int) -> dict[str, torch.Tensor]:
    """Return random weights with the names of FAIR's MAE files."""
    shapes = {
        'cls_token': (1, 1, embed_dims),
        'pos_embed': (1, 197, embed_dims),
        'patch_embed.proj.weight': (embed_dims, 3, 16, 16),
        'patch_embed.proj.bias': (embed_dims,),
        'norm.weight': (embed_dims,),
        'norm.bias': (embed_dims,),
    }
    for i in range(depth):
        for name, rows, columns in (
            ('norm1', embed_dims, None),
            ('attn.qkv', 3 * embed_dims, embed_dims),
            ('attn.proj', embed_dims, embed_dims),
            ('norm2', embed_dims, None),
            ('mlp.fc1', 4 * embed_dims, embed_dims),
            ('mlp.fc2', embed_dims, 4 * embed_dims),
        ):
            weight = (rows, columns) if columns else (rows,)
            shapes[f'blocks.{i}.{name}.weight'] = weight
            shapes[f'blocks.{i}.{name}.bias'] = (rows,)
    return {name: torch.randn(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize('page', PAGES, ids=lambda path: path.stem)
def test_command_starts_from_mae(page, tmp_path, monkeypatch):
    """The line as it is printed, on a narrow model of the same config."""
    options = read_options(page, 'MAEPretrained')
    folder = COCO if page.parent.name == 'models' else page.parent
    [path] = folder.glob('td-hm_vitpose*-b_8xb*-256x192.py')
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(options)
    init_default_scope('mmpose')
    backbone = cfg.model.backbone
    backbone.arch = dict(embed_dims=32, depth=2, num_heads=2)
    if 'experts' in backbone:
        backbone.experts.part_features = 8
    model = MODELS.build(backbone)
    encoder = make_encoder(32, 2)
    monkeypatch.chdir(tmp_path)
    torch.save(dict(model=encoder), backbone.init_cfg.checkpoint)
    model.init_weights()
    for own, theirs in (
        ('layers.1.attn.qkv.weight', 'blocks.1.attn.qkv.weight'),
        ('layers.0.mlp.fc1.bias', 'blocks.0.mlp.fc1.bias'),
    ):
        torch.testing.assert_close(
            model.state_dict()[own], encoder[theirs], atol=0, rtol=0
        )


def test_command_transfers_from_people():
    """The weights of a COCO model fit, and the share is the printed one."""
    recipes = ROOT / 'docs/vitpose_recipes.md'
    options = read_options(recipes, 'load_from=people.pth')
    name = 'td-hm_vitpose-h{}_8xb64-210e_{}-256x192.py'
    animals = Config.fromfile(AP10K / name.format('-10pct', 'ap10k'))
    animals.merge_from_dict(options)
    assert animals.load_from == 'people.pth'
    assert animals.train_dataloader.dataset.fraction == 0.4
    people = Config.fromfile(COCO / name.format('', 'coco'))
    shapes = [
        {key: value.shape for key, value in build(cfg).state_dict().items()}
        for cfg in (people, animals)
    ]
    assert shapes[0] == shapes[1]


# ----------------------------------------------------- printed counts


class Row(NamedTuple):
    """A row of a page's tables.

    Attributes:
        page: The page.
        config: File name of the config that it links to.
        cells: What it prints, by the words over the column.
    """

    page: Path
    config: str
    cells: dict[str, str]


def read_rows(page: Path) -> list[Row]:
    """Return the rows of a page's tables that link to a config."""
    rows, header = [], []
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        if not line.startswith('|'):
            header = []
        elif not header:
            header = cells
        elif link := re.search(r'\]\((.+\.py)\)', cells[0]):
            named = dict(zip(header, cells, strict=True))
            rows.append(Row(page, link[1], named))
    return rows


ROWS = [row for page in PAGES[:3] for row in read_rows(page)]


def build(cfg: Config) -> torch.nn.Module:
    init_default_scope('mmpose')
    with torch.device('meta'):
        return MODELS.build(cfg.model).eval()


def count_parameters(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def count_gmacs(module, cfg: Config, **options) -> float:
    img = torch.empty(1, 3, *cfg.model.backbone.img_size, device='meta')
    with torch.no_grad():
        return count_operators(lambda: module(img, **options)) / 1e9


def test_no_config_is_left_out():
    """Each page has a row for each config beside it."""
    for page in PAGES[:3]:
        listed = [row.config for row in ROWS if row.page == page]
        assert sorted(listed) == sorted(
            p.name for p in page.parent.glob('*.py')
        )


@pytest.mark.parametrize('row', ROWS, ids=lambda row: Path(row.config).stem)
def test_counts_are_those_of_the_page(row):
    """Parameters, GMACs of the whole model and of the backbone."""
    cfg = Config.fromfile(row.page.parent / row.config)
    cells = row.cells
    if row.page.parent == SIX:
        model = build(cfg)
        counted = [
            f'{count_parameters(part):.1f}'
            for part in (model.backbone, model.head)
        ]
        printed = cells['parameters, training (backbone + heads)']
        assert ' + '.join(counted) + ' M' == printed
        cfg = split_config(cfg, 'coco')
        cells = {
            'parameters': cells['one dataset'],
            'GMACs': cells['GMACs, one dataset'],
        }
    model = build(cfg)
    assert f'{count_parameters(model):.1f} M' == cells['parameters']
    gmacs = count_gmacs(model, cfg, data_samples=None, mode='tensor')
    assert f'{gmacs:.2f}' == cells['GMACs']
    if 'backbone' in cells:
        assert f'{count_gmacs(model.backbone, cfg):.2f}' == cells['backbone']
