"""The page on Scrapy: its files, as they stand, in a crawl of the real Scrapy."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.sandbox import Sandbox

# To import it takes a second.
if importlib.util.find_spec('scrapy') is None:
    pytest.skip('Scrapy is not here', allow_module_level=True)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / 'docs' / 'guides' / 'scrapy.rst'
BLOCK = re.compile(r'\.\. code-block:: python\n    :caption: (\S+)\n\n((?:    .*\n|\n)+)')


def files() -> dict[str, str]:
    """Return the files of the page; blocks of one name are parts of one file."""
    found: dict[str, str] = {}
    for name, code in BLOCK.findall(PAGE.read_text(encoding='utf-8')):
        found[name] = found.get(name, '') + textwrap.dedent(code)
    return found


def client_of(cloud: Sandbox) -> ScrapinghubClient:
    return ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url)


def crawl(cloud: Sandbox, folder: Path) -> str:
    """Run the spider of the page in an empty folder; return what Scrapy says."""
    for name, code in files().items():
        (folder / name).write_text(code, encoding='utf-8')
    done = subprocess.run(
        [sys.executable, '-m', 'scrapy', 'runspider', 'books.py', '-s', 'TELNETCONSOLE_ENABLED=0'],
        env={
            **os.environ,
            **cloud.environ,
            'NO_PROXY': '127.0.0.1',
            'PYTHONPATH': os.pathsep.join([str(ROOT), str(folder)]),
            'SCRAPY_SETTINGS_MODULE': 'settings',
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_files_of_the_page_are_a_project(tmp_path: Path) -> None:
    assert set(files()) == {'settings.py', 'books.py'}
    with Sandbox(projects=[123]) as cloud, client_of(cloud) as client:
        said = crawl(cloud, tmp_path)
        assert 'Traceback' not in said
        project = client.get_project(123)
        [summary] = project.jobs.iter()
        assert f'This crawl is job {summary["key"]}' in said
        assert summary['close_reason'] == 'finished'
        job = client.get_job(summary['key'])
        assert sorted(item['title'] for item in job.items.iter()) == ['Emma', 'Walden']
        assert [book['_key'] for book in project.collections.get_store('books').iter()] == ['Emma', 'Walden']
        slot = project.frontiers.get('books').get('0')
        assert (len(slot.f.list()), slot.q.list()) == (2, [])
        [following] = project.jobs.iter(state='pending')
        assert following['spider'] == 'report'
