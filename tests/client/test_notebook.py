"""How objects look at a prompt and in a notebook: plainly, without a secret, and without asking the service."""

from __future__ import annotations

import html
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub import ScrapinghubClient
from scrapinghub.client import notebook
from scrapinghub.client.job import Job
from scrapinghub.client.notebook import Table, card
from scrapinghub.client.projects import Project
from scrapinghub.client.spiders import Spider
from support.scripted_server import KEY, Wire


@pytest.fixture
def silent() -> Iterator[ScrapinghubClient]:
    """A client whose service must not be asked for anything."""
    with Wire({}) as wire:
        with wire.client() as client:
            yield client
        assert wire.asked == []


def things(client: ScrapinghubClient) -> dict[str, Any]:
    """Return one of each public object, by what its repr should be."""
    project = client.get_project(1)
    spider = Spider(client, 1, 2, 'news')
    job = client.get_job('1/2/3')
    frontier = project.frontiers.get('f')
    slot = frontier.get('s')
    found: dict[str, Any] = {
        'projects.Project 1': project,
        'projects.Settings 1': project.settings,
        'spiders.Spiders 1': project.spiders,
        'spiders.Spider 1/2': spider,
        'jobs.Jobs 1': project.jobs,
        'jobs.Jobs 1/2': spider.jobs,
        'jobs.Job 1/2/3': job,
        'jobs.JobMeta 1/2/3': job.metadata,
        'items.Items 1/2/3': job.items,
        'logs.Logs 1/2/3': job.logs,
        'requests.Requests 1/2/3': job.requests,
        'samples.Samples 1/2/3': job.samples,
        'activity.Activity 1': project.activity,
        'collections.Collections 1': project.collections,
        'collections.Collection 1/s/books': project.collections.get_store('books'),
        'frontiers.Frontiers 1': project.frontiers,
        'frontiers.Frontier 1/f': frontier,
        'frontiers.FrontierSlot 1/f/s': slot,
        'frontiers.FrontierSlotQueue 1/f/s': slot.queue,
        'frontiers.FrontierSlotFingerprints 1/f/s': slot.fingerprints,
    }
    return found


def completions(thing: object) -> set[str]:
    """Return what a prompt offers after a dot: what ``dir`` gives for the object and, as some do, for its class."""
    return {name for name in {*dir(thing), *dir(type(thing))} if not name.startswith('_')}


def test_a_repr_says_what_a_thing_is(silent: ScrapinghubClient) -> None:
    for shown, thing in things(silent).items():
        assert repr(thing) == str(thing) == f'<scrapinghub.client.{shown}>'
    assert repr(silent.projects) == '<scrapinghub.client.projects.Projects>'
    assert repr(silent).startswith('<scrapinghub.client.ScrapinghubClient http://127.0.0.1:')


def test_nothing_shows_a_key(silent: ScrapinghubClient) -> None:
    writer = silent.get_project(1).collections.get_store('books').create_writer()
    inner = [silent, silent.projects, silent.transport, silent.transport.endpoints, silent.uploader, writer]
    for thing in [*inner, *things(silent).values(), silent.get_job('1/2/3').items.iter()]:
        assert KEY not in repr(thing)
    assert KEY not in repr(silent.transport.credentials)


def test_an_address_with_a_password_is_shown_without_it() -> None:
    address = 'http://u:topsecret@127.0.0.1:9'
    with ScrapinghubClient(KEY, f'{address}/api', endpoint=address) as client:
        shown = f'{client!r} {client._repr_html_()} {client.transport.endpoints!r}'
    assert 'topsecret' not in shown
    assert 'http://127.0.0.1:9/api' in shown


def test_equal_are_two_objects_of_one_kind_and_key(silent: ScrapinghubClient) -> None:
    one, other = things(silent), things(silent)
    for shown, thing in one.items():
        assert thing == other[shown]
        assert hash(thing) == hash(other[shown])
        assert [name for name, each in one.items() if each == thing] == [shown]
        assert thing != thing.key
    assert len({silent.get_job((1, 2, 3)), silent.get_job('1/2/3'), silent.get_job('1/2/4')}) == 2


@pytest.mark.parametrize(
    ('shown', 'expected'),
    [
        ('projects.Project 1', 'activity collections frontiers info jobs key periodic_jobs settings spiders url'),
        (
            'jobs.Job 1/2/3',
            (
                'cancel close_writers comments delete finish items key logs metadata project_id requests samples '
                'start update update_tags url wait'
            ),
        ),
        ('jobs.JobMeta 1/2/3', 'delete get items iter key keys list set update values'),
        ('projects.Settings 1', 'delete get items iter key keys list set update values'),
        (
            'items.Items 1/2/3',
            (
                'close download field_coverage flush follow get iter iter_arrow key list list_iter partitions '
                'schema stats tail to_arrow to_pandas write writer'
            ),
        ),
        (
            'collections.Collection 1/s/books',
            (
                'copy_to count create_writer delete delete_where download get iter iter_arrow key list partitions '
                'rename schema set to_arrow to_pandas truncate'
            ),
        ),
        ('frontiers.Frontiers 1', 'close flush get iter key list newcount writers'),
        ('frontiers.Frontier 1/f', 'address flush get iter key list newcount writers'),
        ('frontiers.FrontierSlot 1/f/s', 'address client delete f fingerprints flush key newcount q queue writer'),
        ('frontiers.FrontierSlotQueue 1/f/s', 'add address count delete iter key list'),
    ],
)
def test_completion_shows_the_api_alone(silent: ScrapinghubClient, shown: str, expected: str) -> None:
    assert sorted(completions(things(silent)[shown])) == expected.split()


def test_completion_of_the_client(silent: ScrapinghubClient) -> None:
    own = {'transport', 'uploader'}
    assert completions(silent) - own == {
        'activity', 'close', 'connection_timeout', 'get_job', 'get_project', 'projects', 'whoami',
    }  # fmt: skip


class Cells(HTMLParser):
    """Reads the texts of the cells of a table, and every tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag in ('td', 'th'):
            self.cells.append('')

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def test_cards_of_things(silent: ScrapinghubClient) -> None:
    shown = {name: Cells(thing._repr_html_()).cells for name, thing in things(silent).items()}
    assert shown['jobs.Job 1/2/3'] == ['key', '1/2/3', 'project', '1', 'spider', '2', 'job', '3']
    assert shown['projects.Project 1'] == ['key', '1']
    assert shown['spiders.Spider 1/2'] == ['key', '1/2', 'name', 'news', 'project', '1']
    assert shown['collections.Collection 1/s/books'] == [
        'key', '1/s/books', 'name', 'books', 'type', 'store', 'project', '1',
    ]  # fmt: skip
    assert shown['frontiers.FrontierSlot 1/f/s'] == ['project', '1', 'frontier', 'f', 'slot', 's']
    assert 'storage' in silent._repr_html_()


SUMMARIES: list[dict[str, Any]] = [
    {'ts': 1477663464949, 'elapsed': 5, 'state': 'finished', 'key': '1/1/2', 'tags': ['a', '<b>'], 'spider': 's & t'},
    {'ts': 1477663460000, 'elapsed': 9, 'state': 'pending', 'key': '1/1/1', 'extra': None, 'args': {'x': [1]}},
]


def test_cards_link_to_the_web_interface(silent: ScrapinghubClient) -> None:
    site = silent.transport.endpoints.dash.removesuffix('/api')
    for name, path in (('jobs.Job 1/2/3', '1/2/3'), ('spiders.Spider 1/2', '1/2'), ('projects.Project 1', '1')):
        thing = things(silent)[name]
        assert thing.url == f'{site}/p/{path}'
        assert f'<a href="{thing.url}"' in thing._repr_html_()
    assert '<a ' not in silent.get_job('1/2/3').items._repr_html_()


def test_a_page_of_the_service_has_no_credentials() -> None:
    with ScrapinghubClient(KEY, 'https://u:topsecret@app.example.com/api/') as client:
        assert client.get_job('1/2/3').url == 'https://app.example.com/p/1/2/3'
    with ScrapinghubClient(KEY) as client:
        assert client.get_project(5).url == 'https://app.zyte.com/p/5'


def test_a_table_of_a_listing() -> None:
    table = Table(iter(SUMMARIES))
    assert len(table) == 2
    assert table.records == SUMMARIES
    assert repr(table) == '<2 records: key, spider, state, tags, ts, elapsed, extra, args>'
    assert Cells(table._repr_html_()).cells == [
        'key', 'spider', 'state', 'tags', 'ts', 'elapsed', 'extra', 'args',
        '1/1/2', 's & t', 'finished', 'a, <b>', '2016-10-28 14:04:24 UTC', '5', '', '',
        '1/1/1', '', 'pending', '', '2016-10-28 14:04:20 UTC', '9', '', '{"x": [1]}2 records',
    ]  # fmt: skip


def test_a_table_of_some_columns_and_rows() -> None:
    table = Table(SUMMARIES, columns=['state', 'absent'], limit=1)
    assert repr(table) == '<2 records: state, absent>'
    assert Cells(table.html()).cells == ['state', 'absent', 'finished', '2 records, of which the first 1 are shown']
    assert '0 records' in Table([]).html()


def test_what_a_cell_cannot_hold() -> None:
    record = {'long': 'x' * 500, 'finished_time': 10**30, 'flag_time': True, 'summary': [{'key': '1/1/1'}, {'a': 1}]}
    cells = Cells(Table([record]).html()).cells[4:]
    assert cells[:3] == [f'{"x" * 200}…', str(10**30), 'True']
    assert cells[3].startswith('1/1/1, {"a": 1}')


@given(st.text(), st.text())
def test_everything_is_escaped(name: str, value: str) -> None:
    for shown in (card(name, [(name, value)], name), Table([{name: value}]).html()):
        assert Cells(shown).tags <= {'a', 'div', 'b', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'p'}
        assert html.escape(value[:200]) in shown


class Formatter(dict[type, Any]):
    """What IPython offers to those who format a type, as far as it is used."""

    for_type = dict.__setitem__


class Shell:
    """An IPython shell, as far as it is used."""

    def __init__(self) -> None:
        self.display_formatter = self
        self.formatters = {'text/html': Formatter()}


def test_the_extension_shows_lists_of_dicts_as_tables() -> None:
    shell = Shell()
    notebook.load_ipython_extension(shell)
    show = shell.formatters['text/html'][list]
    assert show(SUMMARIES) == Table(SUMMARIES).html()
    for left_alone in ([], [1], [{}, 1]):
        assert show(left_alone) is None
    notebook.unload_ipython_extension(shell)
    notebook.unload_ipython_extension(shell)
    assert shell.formatters['text/html'] == {}


def test_metadata_and_settings_cost_no_request_until_they_are_read(silent: ScrapinghubClient) -> None:
    project: Project = silent.get_project(1)
    job: Job = silent.get_job('1/2/3')
    for fields in (project.settings, job.metadata):
        assert fields._repr_html_()
        assert bool(fields)
        assert fields == fields
