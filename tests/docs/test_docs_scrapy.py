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


def client_of(cloud: Sandbox, spool: Path | None = None) -> ScrapinghubClient:
    return ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url, spool=spool)


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
    assert set(files()) == {'cloudjob.py', 'settings.py', 'books.py', 'pipelines.py'}


def test_a_crawl_ends_up_in_a_job(tmp_path: Path) -> None:
    with Sandbox(projects=[123]) as cloud, client_of(cloud) as client:
        said = crawl(cloud, tmp_path)
        assert 'Traceback' not in said
        project = client.get_project(123)
        job = client.get_job(next(project.jobs.iter())['key'])
        assert sorted(item['title'] for item in job.items.iter()) == ['Emma', 'Walden']
        assert {item['_type'] for item in job.items.iter()} == {'dict'}
        requests = job.requests.list()
        assert sorted(request['url'] for request in requests) == ['data:,Emma', 'data:,Walden']
        assert {(request['status'], request['method']) for request in requests} == {(200, 'GET')}
        assert {len(request.get('fp') or '') for request in requests} == {40}
        assert any('Closing spider' in line['message'] for line in job.logs.iter())
        metadata = dict(job.metadata)
        assert metadata['close_reason'] == 'finished'
        assert metadata['scrapystats']['item_scraped_count'] == 2
        books = project.collections.get_store('books')
        assert [book['_key'] for book in books.iter()] == ['Emma', 'Walden']


def test_what_is_refused_ends_the_job_with_another_reason(tmp_path: Path) -> None:
    with Sandbox(projects=[123]) as cloud, client_of(cloud) as client:
        cloud.faults.add(method='POST', path='/items/*', status=400, body='no more today', times=None)
        said = crawl(cloud, tmp_path)
        assert 'no more today' in said
        [summary] = client.get_project(123).jobs.iter()
        assert summary['close_reason'] == 'results_not_stored'
        cloud.faults.clear()
        # The next process with this spool sends what is left.
        with client_of(cloud, spool=tmp_path / 'records.spool') as later:
            later.get_job(summary['key']).items.flush()
        assert len(client.get_job(summary['key']).items.list()) == 2
