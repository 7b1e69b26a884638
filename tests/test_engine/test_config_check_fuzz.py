"""One change at a time: each mistake gives a finding, legal changes none."""

import random
from functools import cache

import pytest
from support.config_faults import (
    CONFIGS,
    DISAGREEMENTS,
    LEGAL,
    misspell,
    misspelt_keys,
    read,
    set_key,
    typed_values,
    with_change,
)

from gtpt_mm.engine.config_check import check

#: Sites drawn from each config, besides its top level.
NUM_SITES = 40


@cache
def config(name):
    return read(name)


def draw(sites, rng, num):
    return sites if len(sites) <= num else rng.sample(sites, num)


def find_missed_keys(name, seed, num):
    """Return the misspelt keys that no finding names."""
    rng, missed = random.Random(f'{name}-{seed}'), []
    sites = misspelt_keys(config(name))
    top = [site for site in sites if not site[0]]
    for path, key in top + draw(sites[len(top) :], rng, num):
        wrong = misspell(key, rng)
        findings = check(
            with_change(
                config(name),
                path,
                lambda c, old=key, new=wrong: c.update({new: c.pop(old)}),
            )
        )
        if not any(f.place.split('.')[-1] == wrong for f in findings):
            missed.append(('.'.join(map(str, (*path, key))), wrong))
    return missed


def find_missed_types(name, seed, num):
    """Return the values of another type that no finding names."""
    rng, missed = random.Random(f'{name}-{seed}'), []
    for path, key, value in draw(typed_values(config(name)), rng, num):
        findings = check(
            with_change(
                config(name),
                path,
                lambda c, k=key, v=value: c.update({k: v}),
            )
        )
        place = '.'.join(map(str, (*path, key)))
        if not any(key in f.place for f in findings):
            missed.append((place, value))
    return missed


@pytest.mark.parametrize('name', CONFIGS)
def test_a_misspelt_key_gives_a_finding(name):
    assert find_missed_keys(name, 0, NUM_SITES) == []


@pytest.mark.parametrize('name', CONFIGS)
def test_a_value_of_another_type_gives_a_finding(name):
    assert find_missed_types(name, 0, NUM_SITES) == []


@pytest.mark.parametrize(
    'case', DISAGREEMENTS, ids=lambda case: f'{case[0]}-{case[1]}'
)
def test_a_broken_agreement_gives_a_finding(case):
    name, key, value, text = case
    findings = check(set_key(config(name), key, value))
    assert any(text in str(finding) for finding in findings), findings


@pytest.mark.parametrize('name', CONFIGS)
def test_legal_changes_give_none(name):
    wrong = {
        key: [str(f) for f in findings]
        for key, value in LEGAL
        if 'test_cfg' in config(name)['model'] or 'test_cfg' not in key
        if (findings := check(set_key(config(name), key, value)))
    }
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(1, 6))
@pytest.mark.parametrize('name', CONFIGS)
def test_fuzz_at_length(name, seed):
    assert find_missed_keys(name, seed, 400) == []
    assert find_missed_types(name, seed, 400) == []
