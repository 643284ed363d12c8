"""What the page on the sandbox shows, run as it stands."""

from __future__ import annotations

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import requests

import scrapinghub
from scrapinghub.sandbox import Sandbox, __main__
from scrapinghub.sandbox.web.control import Control

pytest_plugins = ['pytester']

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / 'docs' / 'sandbox.rst'
PLUGIN = 'scrapinghub.sandbox.pytest_plugin'

if not PAGE.exists():
    pytest.skip('the documentation is not here', allow_module_level=True)
TEXT = PAGE.read_text(encoding='utf-8')


def blocks(language: str) -> dict[str, str]:
    """Return the code blocks of a language by their caption."""
    pattern = rf'\.\. code-block:: {language}\n(?:    :caption: (\S+)\n)?\n((?:    .*\n|\n)+)'
    return {caption: textwrap.dedent(code).strip() + '\n' for caption, code in re.findall(pattern, TEXT)}


def test_the_session_in_python_runs_as_shown() -> None:
    page = doctest.DocTestParser().get_doctest(TEXT, {}, PAGE.name, str(PAGE), 0)
    assert len(page.examples) > 20
    said: list[str] = []
    try:
        doctest.DocTestRunner().run(page, out=said.append, clear_globs=False)
    finally:
        for name in ('client', 'cloud'):
            if name in page.globs:
                page.globs[name].close()
    assert not said, ''.join(said)


@pytest.fixture
def pipeline(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with the pipeline and its tests, as the page shows them."""
    pytest.importorskip('scrapy')
    files = blocks('python')
    assert set(files) == {'pipelines.py', 'test_pipelines.py'}
    for name, code in files.items():
        (pytester.path / name).write_text(code, encoding='utf-8')
    home = str(Path(scrapinghub.__file__).parent.parent)
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([home, str(pytester.path)]))
    monkeypatch.setenv('PYTEST_DISABLE_PLUGIN_AUTOLOAD', '1')
    monkeypatch.setenv('PYTEST_PLUGINS', PLUGIN)
    return pytester


def test_the_tests_of_the_pipeline_run_as_shown(pipeline: pytest.Pytester) -> None:
    result = pipeline.runpytest_subprocess('-p', 'no:cacheprovider', timeout=60)
    result.assert_outcomes(passed=2)


CRAWL = """
import os, sys
import scrapy
from scrapy.crawler import CrawlerProcess

class Books(scrapy.Spider):
    name = 'books'
    start_urls = ['data:,']

    def parse(self, response):
        for price in (1, 1, 2):
            yield {'url': 'https://books.example/1', 'price': price}

process = CrawlerProcess({
    'ITEM_PIPELINES': {'pipelines.NewPrices': 1}, 'SHUB_PROJECT': 5, 'TELNETCONSOLE_ENABLED': False,
    'LOG_LEVEL': 'ERROR',
})
crawler = process.create_crawler(Books)
process.crawl(crawler)
process.start()
print(crawler.stats.get_value('item_scraped_count'), crawler.stats.get_value('item_dropped_count'))
"""


def test_a_real_crawl_uses_the_pipeline(pipeline: pytest.Pytester) -> None:
    with Sandbox(projects=[5]) as cloud:
        done = subprocess.run(
            [sys.executable, '-c', CRAWL],
            env={**os.environ, **cloud.environ, 'NO_PROXY': '127.0.0.1'},
            cwd=pipeline.path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.stdout, done.stderr) == ('2 1\n', '')
        stored = requests.get(f'{cloud.url}collections/5/s/prices', auth=(cloud.apikey, ''), timeout=10)
        assert stored.json() == {'price': 2}


@pytest.mark.skipif(shutil.which('curl') is None, reason='no curl on this machine')
def test_the_commands_in_the_shell_run_as_shown() -> None:
    (code,) = blocks('bash').values()
    with Sandbox() as cloud:
        answers = []
        for line in code.splitlines():
            done = subprocess.run(
                ['bash', '-c', line], env={**os.environ, **cloud.environ}, capture_output=True, timeout=30, check=True
            )
            answers.append(json.loads(done.stdout))
    assert [answer.get('error') for answer in answers] == [None] * 9
    assert [answer.get('id') for answer in answers[:3]] == [1, 2, 3]
    assert len(answers[3]['rules']) == 3


def test_every_option_of_the_program_is_described() -> None:
    described = set(re.findall(r'^``(--[a-z-]+)', TEXT, re.MULTILINE))
    options = {name for action in __main__.build_parser()._actions for name in action.option_strings}
    assert described == options - {'-h', '--help'}


def test_every_route_of_the_control_interface_is_described() -> None:
    described = {
        (method, path.replace('ID', '<int:number>'))
        for methods, path in re.findall(r'^    \* - ((?:``[A-Z]+``, )*``[A-Z]+) (/_sandbox\S+)``', TEXT, re.MULTILINE)
        for method in re.findall('[A-Z]+', methods)
    }
    with Sandbox() as cloud:
        served = {
            (method, path)
            for path, methods, _ in Control(cloud.faults, cloud.requests, cloud.clock, cloud.reset).routes()
            for method in methods
        }
    assert described == served
