"""The benchmark runs, does the same with each implementation, and meets what does not depend on the clock."""

from __future__ import annotations

import os
import re
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
    assert number in (SIZES.items, SIZES.products, SIZES.listed, SIZES.large, SIZES.writes, SIZES.calls)
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


def test_the_cost_of_an_item_is_measured_for_each_number_of_items(url: str) -> None:
    assert list(worker.linear_cost(url, SIZES)) == [str(count) for count in SIZES.linear]


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason='other versions of Python count comprehensions differently')
def test_a_read_and_a_write_need_few_calls() -> None:
    done = run_program('trace.py')
    counts = [tuple(map(int, found)) for found in re.findall(r'(\d+) calls, \d+ functions, (\d+) files', done.stdout)]
    (read_calls, read_files), (write_calls, write_files) = counts
    assert read_calls <= 80
    assert write_calls <= 60
    assert max(read_files, write_files) <= 12


def test_the_program_prints_the_table() -> None:
    assert 'metadata calls' in run_program('run.py', '--quick', '--only', 'metadata_calls').stdout


def run_program(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = Path(scrapinghub.__file__).parent.parent
    result = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, 'PYTHONPATH': str(root)}, timeout=100,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result


def measured() -> list[cases.Case]:
    fast = cases.Case('a', 'a < b', 2, 0.9)
    fast.results = {'ours': [{'cpu': 1.0}], 'released': [{'cpu': 40.0}], 'bare': [{'cpu': 0.95}]}
    slow = cases.Case('c', 'c', 2, 0.9)
    slow.results = {'ours': [{'cpu': 1.0}] * 2, 'released': [{'cpu': 1.5}] * 2, 'bare': [{'cpu': 0.5}, {'cpu': 0.8}]}
    return [fast, slow]


def test_missed_targets_are_listed() -> None:
    assert cases.misses(measured()) == [
        'c: 1.50 times the released package, target 2',
        'c: 0.80 times the bare loop, target 0.9',
    ]


def test_the_table_has_results_and_no_targets() -> None:
    text = cases.table(measured())
    assert '40×' in text
    assert '0.50 to 0.80' in text
    assert 'target' not in text


def test_the_picture_has_the_speed_up_at_the_end_of_each_bar() -> None:
    drawn = ET.fromstring(picture.draw(measured()))
    texts = [element.text for element in drawn.iter('{http://www.w3.org/2000/svg}text')]
    assert {'a < b', '40×', 'c', '1.50×'} <= set(texts)


def test_bars_have_a_logarithmic_scale() -> None:
    steps = [picture.position(ratio) for ratio in (1, 10, 100)]
    assert steps[1] - steps[0] == pytest.approx(steps[2] - steps[1])
    assert steps[0] > picture.LEFT
    assert picture.position(1e6) == picture.position(picture.HIGHEST) == picture.WIDTH - picture.RIGHT


def test_a_regression_leaves_room_for_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / 'ratios.json'
    monkeypatch.setattr(run, 'STORED', kept)
    kept.write_text('{"a < b": {"released": 60.0, "bare": 1.4}, "c": {"released": 3.0}, "gone": {"released": 9.0}}')
    assert run.regressions(measured()) == ['c, against released: was 3.0, is 1.5']
