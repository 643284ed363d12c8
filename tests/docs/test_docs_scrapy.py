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
    return {name: textwrap.dedent(code) for name, code in BLOCK.findall(PAGE.read_text(encoding='utf-8'))}


def client_of(cloud: Sandbox) -> ScrapinghubClient:
    return ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url)


def crawl(cloud: Sandbox, folder: Path) -> str:
    """Run the spider of the page in an empty folder; return what Scrapy says."""
    for name, code in files().items():
        (folder / name).write_text(code, encoding='utf-8')
    settings = folder / 'settings.py'
    settings.write_text(settings.read_text() + "ITEM_PIPELINES = {'pipelines.BookCollection': 300}\n", encoding='utf-8')
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


def test_the_page_shows_a_whole_project() -> None:
    assert set(files()) == {'settings.py', 'books.py', 'pipelines.py'}


def test_a_crawl_ends_up_in_a_job(tmp_path: Path) -> None:
    with Sandbox(projects=[123]) as cloud, client_of(cloud) as client:
        said = crawl(cloud, tmp_path)
        assert 'Traceback' not in said
        project = client.get_project(123)
        [summary] = project.jobs.iter()
        assert f'This crawl is job {summary["key"]}' in said
        assert summary['close_reason'] == 'finished'
        job = client.get_job(summary['key'])
        assert sorted(item['title'] for item in job.items.iter()) == ['Emma', 'Walden']
        books = project.collections.get_store('books')
        assert [book['_key'] for book in books.iter()] == ['Emma', 'Walden']
