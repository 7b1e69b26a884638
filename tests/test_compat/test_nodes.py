"""Processes on nodes that see other files than the first are refused."""

import json
import socket

import pytest

from gtpt_mm.compat.runs import nodes


@pytest.fixture(scope='module')
def found(run_processes, tmp_path_factory):
    """What both processes returned or raised, in cases."""
    folder = tmp_path_factory.mktemp('nodes')
    run_processes('other_files.py', folder, timeout=120)
    first, second = (
        json.loads((folder / f'{rank}.json').read_text()) for rank in (0, 1)
    )
    assert first == second  # none of them goes on alone
    return first


def test_other_training_data(found):
    """It would hang at the end of the epoch."""
    host = socket.gethostname()
    words = found['samples']
    assert words.startswith('ValueError: the training data differs')
    assert f"the first, on {host}, has {{'batch_size': 2" in words
    assert "'num_samples': 8}, process 1 on" in words
    assert "'num_samples': 12}. Each process reads its share" in words


def test_a_work_dir_of_each_node(found):
    """The second would begin anew beside the first."""
    assert found['own'] == 4
    words = found['resumed']
    assert 'node0/work/epoch_2.pth is there differs' in words
    assert 'has True, process 1' in words and 'that all nodes share' in words


def test_another_file_of_the_same_name(found):
    assert found['shared'] == 4
    assert 'the checkpoint to resume differs' in found['changed']
    assert (
        "{'iter': 2" in found['changed'] and "{'iter': 3" in found['changed']
    )


def test_a_late_file_is_waited_for(found):
    assert found['late'].endswith('late.pth')


def test_what_the_first_finds_holds_for_all(found):
    assert found['broken'] == 'BrokenCheckpointError: nothing is whole'
    assert found['none'] is None


def test_one_process_asks_nobody():
    nodes.agree('a value', 3, 'Change it')
    assert nodes.find_together(lambda: 'a.pth') == 'a.pth'
