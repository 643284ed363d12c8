"""The benchmark runs, does the same with every implementation, and holds what does not depend on the clock."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import bare
import cases
import picture
import pytest
import run
import sizes
import worker

import scrapinghub

BENCHMARKS = Path(run.__file__).parent
SIZES = sizes.SIZES['quick']


@pytest.fixture(scope='module')
def url() -> Iterator[str]:
    with run.replay('quick') as address:
        yield address


@pytest.mark.parametrize('name', list(worker.CASES))
def test_a_case_does_the_same_as_its_bare_loop(url: str, name: str) -> None:
    number = worker.CASES[name](url, SIZES)
    assert number in (SIZES.items, SIZES.listed, SIZES.large, SIZES.writes, SIZES.calls)
    if name in bare.LOOPS:
        assert bare.LOOPS[name](url, SIZES) == number


@pytest.mark.parametrize('name', list(bare.FAST_LOOPS))
def test_the_fast_loop_does_the_same(url: str, name: str) -> None:
    pytest.importorskip('msgspec')
    assert bare.FAST_LOOPS[name](url, SIZES) == bare.LOOPS[name](url, SIZES)


def test_every_line_of_the_table_has_its_case() -> None:
    for case in cases.all_cases():
        if case.name not in worker.IMPORTS:
            assert case.name in worker.CASES
            assert case.bare is None or case.name in (bare.LOOPS if case.bare == 'bare' else bare.FAST_LOOPS)


def test_the_first_record_comes_with_its_first_packet(url: str) -> None:
    assert worker.first_record(url, SIZES) == {'early': True, 'number': 10}


def test_threads_use_their_connections_again(url: str) -> None:
    opened = worker.connections(url, SIZES)
    assert 1 <= opened['opened'] <= SIZES.threads


def test_memory_stays_flat_while_one_consumer_is_slow(url: str) -> None:
    grown = worker.flat_memory(url, SIZES)
    assert grown['number'] == 2 * SIZES.flat
    assert grown['growth'] < run.FLAT_MIB


def test_the_cost_of_items_is_told_for_each_number_of_them(url: str) -> None:
    assert list(worker.linear_cost(url, SIZES)) == [str(count) for count in SIZES.linear]


def test_the_program_prints_the_table() -> None:
    root = Path(scrapinghub.__file__).parent.parent
    command = [sys.executable, str(BENCHMARKS / 'run.py'), '--quick', '--only', 'metadata_calls']
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, 'PYTHONPATH': str(root)}
    )
    assert result.returncode == 0, result.stderr
    assert 'metadata calls' in result.stdout


def measured() -> list[cases.Case]:
    fast = cases.Case('a', 'a < b', 2, 0.9)
    fast.results = {'ours': [{'cpu': 1.0}], 'released': [{'cpu': 40.0}], 'bare': [{'cpu': 0.95}]}
    slow = cases.Case('c', 'c', 2, 0.9)
    slow.results = {'ours': [{'cpu': 1.0}] * 2, 'released': [{'cpu': 1.5}] * 2, 'bare': [{'cpu': 0.5}, {'cpu': 0.8}]}
    return [fast, slow]


def test_what_is_slower_than_wanted_is_told() -> None:
    fast, slow = measured()
    assert (fast.missed, slow.missed) == (False, True)
    assert slow.best_share == 0.8
    text = cases.table([fast, slow])
    assert '40 (40 to 40), wanted 2' in text
    assert '0.80 (0.50 to 0.80), wanted 0.9' in text


def test_a_picture_shows_every_case() -> None:
    drawn = ET.fromstring(picture.draw(measured()))
    words = ' '.join(drawn.itertext())
    assert 'a < b' in words
    assert '40.0 times …' in words


def test_a_regression_leaves_room_for_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / 'ratios.json'
    monkeypatch.setattr(run, 'STORED', kept)
    kept.write_text('{"a < b": {"released": 60.0, "bare": 1.4}, "c": {"released": 3.0}, "gone": {"released": 9.0}}')
    assert run.regressions(measured()) == ['c, against released: was 3.0, is 1.5']
