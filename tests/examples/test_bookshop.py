"""The example project runs as its documentation says."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOOKSHOP = ROOT / 'examples' / 'bookshop'

if importlib.util.find_spec('scrapy') is None or not BOOKSHOP.exists():
    pytest.skip('Scrapy or the example is not installed', allow_module_level=True)


@pytest.mark.timeout(300)
def test_the_bookshop_is_crawled_and_stored(tmp_path: Path) -> None:
    folder = shutil.copytree(BOOKSHOP, tmp_path / 'bookshop', ignore=shutil.ignore_patterns('.scrapy'))
    done = subprocess.run(
        [sys.executable, 'crawl.py'],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    jobs = re.findall(r'^123/\S+ (\w+): (\w+), (\d+) items, (\d+) requests$', done.stdout, re.MULTILINE)
    assert sorted(jobs) == [
        ('authors', 'finished', '6', '8'),
        ('books', 'finished', '60', '9'),
        ('report', 'finished', '1', '1'),
    ], done.stderr
    assert 'In the collection: 60 books' in done.stdout
    assert 'Left in the frontier: 0 batches' in done.stdout
    assert done.stderr == ''
    assert len((folder / 'books.csv').read_text(encoding='utf-8').splitlines()) == 61
    assert not (folder / '.scrapy').exists()
