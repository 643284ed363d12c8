"""The pages on the sandbox describe every option and every route; a real crawl uses the pipeline that they show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import requests

import scrapinghub
from scrapinghub.sandbox import Sandbox, __main__
from scrapinghub.sandbox.modes import Modes
from scrapinghub.sandbox.web.control import Control

GUIDES = Path(__file__).parents[2] / 'docs' / 'guides'

if not GUIDES.exists():
    pytest.skip('the documentation is not here', allow_module_level=True)


def text(page: str) -> str:
    return (GUIDES / f'{page}.rst').read_text(encoding='utf-8')


CRAWL = """
import scrapy
from scrapy.crawler import CrawlerProcess

class Books(scrapy.Spider):
    name = 'books'
    start_urls = ['data:,']

    def parse(self, response):
        for price in (1, 1, 2):
            yield {'url': 'https://books.example/1', 'price': price}

process = CrawlerProcess({
    'ITEM_PIPELINES': {'pipelines.NewPrices': 1}, 'SCRAPINGHUB_PROJECT': 5, 'TELNETCONSOLE_ENABLED': False,
    'LOG_LEVEL': 'ERROR',
})
crawler = process.create_crawler(Books)
process.crawl(crawler)
process.start()
print(crawler.stats.get_value('item_scraped_count'), crawler.stats.get_value('item_dropped_count'))
"""


def test_a_real_crawl_uses_the_pipeline(tmp_path: Path) -> None:
    pytest.importorskip('scrapy')
    (code,) = re.findall(r'    :caption: pipelines.py\n\n((?:    .*\n|\n)+)', text('sandbox'))
    (tmp_path / 'pipelines.py').write_text(textwrap.dedent(code), encoding='utf-8')
    home = Path(scrapinghub.__file__).parent.parent
    with Sandbox(projects=[5]) as cloud:
        path = {'PYTHONPATH': os.pathsep.join([str(home), str(tmp_path)]), 'NO_PROXY': '127.0.0.1'}
        done = subprocess.run(
            [sys.executable, '-c', CRAWL],
            env={**os.environ, **cloud.environ, **path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.stdout, done.stderr) == ('2 1\n', '')
        stored = requests.get(f'{cloud.url}collections/5/s/prices', auth=(cloud.apikey, ''), timeout=10)
        assert stored.json() == {'price': 2}


def test_every_option_of_the_program_is_described() -> None:
    described = set(re.findall(r'^    \* - ``(--[a-z-]+)', text('sandbox'), re.MULTILINE))
    options = {name for action in __main__.build_parser()._actions for name in action.option_strings}
    assert described == options - {'-h', '--help'}


def test_every_route_of_the_control_interface_is_described() -> None:
    flags = re.MULTILINE
    described = {
        (method, path.replace('ID', '<int:number>'))
        for methods, path in re.findall(
            r'^    \* - ((?:``[A-Z]+``, )*``[A-Z]+) (/_sandbox/\S+)``', text('faults'), flags
        )
        for method in re.findall('[A-Z]+', methods)
    }
    with Sandbox() as cloud:
        served = {
            (method, path)
            for path, methods, _ in Control(cloud.faults, cloud.requests, cloud.clock, Modes(), cloud.reset).routes()
            for method in methods
        }
    assert described == served
