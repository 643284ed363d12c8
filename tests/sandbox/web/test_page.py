"""The page for a browser, as HTML and as headless Chromium shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.demo import seed_demo
from scrapinghub.sandbox.server.exchange import Exchange
from support.caller import Caller

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">\'"&'
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
BROWSER_SECONDS = 60


class Shown(HTMLParser):
    """What a page shows: its tables by heading, its links, its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.links: dict[str, str] = {}
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.title = ''
        self._open: list[str] = []
        self._heading = ''
        self._href: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        if tag in ('meta', 'link', 'img'):
            return
        self._open.append(tag)
        if tag == 'h3':
            self._heading = ''
        elif tag == 'tbody':
            self.tables[self._heading] = []
        elif tag == 'tr' and 'tbody' in self._open:
            self.tables[self._heading].append([])
        elif tag == 'td':
            self.tables[self._heading][-1].append('')
        elif tag == 'a':
            self._href = dict(attrs).get('href')

    def handle_endtag(self, tag: str) -> None:
        while self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self._open:
            return
        if self._open[-1] == 'title':
            self.title += data
        if self._open[-1] == 'h3':
            self._heading += data.strip()
        if 'td' in self._open:
            self.tables[self._heading][-1][-1] += data
        if self._open[-1] == 'a' and self._href is not None:
            self.links[data] = self._href

    def column(self, heading: str, place: int) -> list[str]:
        return [row[place] for row in self.tables[heading]]


def show(cloud: Sandbox, target: str = '/', status: int = 200) -> Shown:
    answer = requests.get(
        cloud.url.rstrip('/') + target, headers={'Accept': 'text/html,application/xhtml+xml,*/*;q=0.8'}, timeout=30
    )
    assert answer.status_code == status, answer.text
    assert answer.headers['Content-Type'] == 'text/html; charset=utf-8'
    return Shown(answer.text)


@pytest.fixture
def demo(cloud: Sandbox) -> Sandbox:
    assert seed_demo(cloud, 1)
    return cloud


def test_an_api_client_gets_no_page(caller: Caller) -> None:
    answer = caller.get('', headers={'Accept': '*/*'})
    assert (answer.status_code, answer.headers['Content-Type']) == (501, 'text/plain; charset=utf-8')
    assert caller.get('nothing', headers={'Accept': 'text/html'}).status_code == 501
    assert caller.get('jobq/1/count', headers={'Accept': 'text/html'}).text == '0'


def test_pages_of_others_get_no_page(caller: Caller) -> None:
    headers = {'Accept': 'text/html', 'Host': 'evil.example'}
    assert caller.get('', headers=headers).status_code == 403


def test_an_empty_sandbox_says_so() -> None:
    with Sandbox() as cloud:
        text = requests.get(cloud.url, headers={'Accept': 'text/html'}, timeout=30).text
    assert 'There is no project yet.' in text


def test_the_overview_shows_the_project(demo: Sandbox) -> None:
    shown = show(demo)
    assert shown.column('Jobs', 0) == ['1/2/4', '1/1/5', '1/2/3', '1/1/4', '1/1/3', '1/2/1', '1/1/2', '1/1/1']
    assert shown.column('Jobs', 2) == [
        'pending', 'pending', 'running', 'finished cancelled', 'finished', 'finished failed', 'finished', 'finished',
    ]  # fmt: skip
    assert shown.tables['Jobs'][4][3:7] == ['46', '47', '52', '0']
    assert shown.tables['Jobs'][5][6:] == ['1', '2017-07-13 17:43:00', '0:02:00', 'nightlylooked-at']
    assert shown.tables['Spiders'] == [['books', '1', '1', '0', '4', ''], ['prices', '2', '1', '1', '1', '']]
    assert shown.tables['Collections'] == [['books', 's', '30'], ['seen_pages', 'cs', '8']]
    assert shown.tables['Frontiers'] == [['books', '0', '150'], ['books', '1', '150']]
    assert shown.tables['Activity'][1][1:] == ['job:scheduled', '1/2/4', '{"user": "admin"}']


def test_all_jobs_of_a_project_are_listed_in_pages(cloud: Sandbox, caller: Caller) -> None:
    caller.post('jobq/2/push', *({'spider': f's{number % 2}'} for number in range(250)))
    caller.post('jobq/2/push', {'spider': 's1', 'state': 'finished'})
    overview = show(cloud)
    assert len(overview.tables['Jobs']) == 25
    found: list[str] = []
    link = overview.links['251 in all']
    while link:
        shown = show(cloud, link)
        found += shown.column('Jobs', 0)
        link = shown.links.get('older', '')
    expected = [job['key'] for job in caller_lines(caller, 'jobq/2/list?state=pending&state=finished')]
    assert found == expected
    assert len(found) == 251
    assert show(cloud, shown.links['newer']).column('Jobs', 0) == expected[100:200]
    assert show(cloud, overview.links['1 finished']).column('Jobs', 0) == ['2/2/126']
    assert 'Jobs' not in show(cloud, overview.links['0 running']).tables
    of_spider = show(cloud, overview.links['s1'])
    assert of_spider.links['126 in all']
    assert set(of_spider.column('Jobs', 1)) == {'s1'}


@pytest.mark.parametrize('target', ['/?project=x', '/?project=9', '/?project=1&state=lost'])
def test_jobs_that_cannot_be_listed_give_a_page_that_says_so(cloud: Sandbox, target: str) -> None:
    assert show(cloud, target, 404).title == 'Not found'
    assert 'Jobs' not in show(cloud, '/?project=1&start=-5&spider=nobody').tables


def caller_lines(caller: Caller, path: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in caller.get(path).text.splitlines()]


def test_a_job_is_shown_with_its_data(demo: Sandbox) -> None:
    shown = show(demo, show(demo).links['1/2/3'])
    assert shown.title == 'Job 1/2/3'
    assert ['spider', 'prices'] in shown.tables['Metadata']
    assert shown.column('Items', 0) == [str(number) for number in reversed(range(18))]
    assert shown.tables['Log'][-1][2:] == ['INFO', 'Spider opened for job 1/2/3']
    assert shown.tables['Requests'][-1][2:5] == ['GET', 'https://books.example/', '200']
    assert len(shown.tables['Samples']) == 4


def test_the_latest_records_of_a_long_job_are_shown(cloud: Sandbox, caller: Caller) -> None:
    key = caller.push(state='running')
    caller.post(f'items/{key}', *({'n': number} for number in range(120)))
    shown = show(cloud, f'/?job={key}')
    assert shown.column('Items', 0) == [str(number) for number in range(119, 69, -1)]


def test_a_collection_and_a_slot_are_shown(demo: Sandbox) -> None:
    links = show(demo).links
    records = show(demo, links['seen_pages']).tables['Records']
    assert records[0][0] == 'https://books.example/page/1'
    batches = show(demo, links['0']).tables['Queue']
    assert [row[1] for row in batches] == ['100', '50']


@pytest.mark.parametrize(
    'target',
    [
        '/?job=1/1/9',
        '/?job=x',
        f'/?job={EVIL}',
        '/?collection=none&project=1&type=s',
        '/?collection=x&project=1&type=zz',
        '/?collection=x',
        '/?slot=x&project=99&frontier=f',
    ],
)
def test_what_is_not_there_is_said(cloud: Sandbox, target: str) -> None:
    shown = show(cloud, target, status=404)
    assert shown.title == 'Not found'
    assert 'img' not in shown.elements


def store_evil(caller: Caller) -> str:
    """Store the worst text wherever a text fits; return the job's key."""
    key = caller.push(spider=EVIL, state='running', tags=[EVIL], note=EVIL)
    caller.post(f'items/{key}', {EVIL: EVIL})
    caller.post(f'logs/{key}', {'time': 1, 'level': 40, 'message': EVIL})
    caller.post(f'requests/{key}', {'url': EVIL, 'status': 200, 'method': 'GET', 'rs': 1, 'duration': 1, 'time': 1})
    caller.post(f'samples/{key}', [1, 2])
    caller.post('collections/1/s/evil', {'_key': EVIL, 'value': EVIL})
    name = quote(EVIL, safe='')
    caller.post(f'hcf/1/{name}/s/{name}', {'fp': EVIL, 'qdata': EVIL})
    caller.post('activity/1', {'event': EVIL, 'job': EVIL, EVIL: EVIL})
    caller.post('jobq/1/update', {'key': key, 'state': 'finished', 'close_reason': EVIL})
    return key


def test_every_text_is_escaped(cloud: Sandbox, caller: Caller) -> None:
    key = store_evil(caller)
    overview = show(cloud)
    targets = ['/', f'/?job={key}', overview.links['evil'], overview.links[EVIL]]
    assert 'slot=' in targets[-1]
    for target in targets:
        shown = show(cloud, target)
        assert shown.elements.count('script') == 1
        assert 'img' not in shown.elements
        assert not [name for name, _ in shown.attributes if name.startswith('on')]
        assert EVIL in str(shown.tables).replace("\\'", "'") or EVIL in shown.title


def test_a_page_holds_no_credentials_and_loads_nothing(demo: Sandbox) -> None:
    answer = requests.get(demo.url, headers={'Accept': 'text/html'}, timeout=30)
    assert demo.apikey not in answer.text
    assert not re.search(r'(src|href)="(https?:)?//', answer.text)
    assert "default-src 'none'" in answer.headers['Content-Security-Policy']


def test_the_page_leaves_no_trace(demo: Sandbox) -> None:
    demo.requests.clear()
    demo.faults.add(status=503, times=None)
    show(demo)
    assert (len(demo.requests), demo.faults.met) == (0, [])


# In a browser


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium on this machine')


def dump(cloud: Sandbox, folder: Path, target: str, *options: str) -> Shown:
    """Return the page as Chromium has it after its script ran for a while."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
            '--disable-background-networking', '--disable-component-update', '--disable-sync',
            f'--user-data-dir={folder}', '--virtual-time-budget=4000', *options, '--dump-dom',
            cloud.url.rstrip('/') + target,
        ],
        capture_output=True,
        text=True,
        timeout=BROWSER_SECONDS,
        check=True,
    )  # fmt: skip
    return Shown(done.stdout)


@needs_browser
def test_a_browser_shows_the_page_and_what_changes_while_it_looks(
    cloud: Sandbox, caller: Caller, tmp_path: Path
) -> None:
    key = caller.push(spider='before')
    observe = cloud.server.observer
    assert observe is not None
    pushed: list[Any] = []

    def push_once(exchange: Exchange) -> None:
        observe(exchange)
        if exchange.over and exchange.request.path == '/' and not pushed:
            pushed.append(None)
            pushed.append(caller.push(spider='after'))

    cloud.server.observer = push_once
    shown = dump(cloud, tmp_path, '/')
    assert pushed[1:] == ['1/2/1']
    assert shown.column('Jobs', 0) == ['1/2/1', key]


@needs_browser
def test_a_browser_runs_nothing_that_was_stored(cloud: Sandbox, caller: Caller, tmp_path: Path) -> None:
    key = store_evil(caller)
    shown = dump(cloud, tmp_path, f'/?job={key}')
    assert shown.tables['Log'][0][3] == EVIL
    assert 'img' not in shown.elements
