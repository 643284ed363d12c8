"""Records that are decoded into types of the user: values, errors that are skipped, and how a broken read continues."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, TypedDict

import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.client.jobs import Job
from scrapinghub.client.projects import Project
from scrapinghub.exceptions import DecodeError
from scrapinghub.sandbox import Sandbox
from support.clocks import ManualClock

msgspec: Any = pytest.importorskip('msgspec')

COUNT = 50


class Offer(msgspec.Struct):  # type: ignore[misc]
    price: float


class Book(msgspec.Struct):  # type: ignore[misc]
    n: int
    title: str
    offers: list[Offer] = msgspec.field(default_factory=list)


@dataclasses.dataclass
class BookClass:
    n: int
    title: str


class BookDict(TypedDict):
    n: int
    title: str


class Keyed(msgspec.Struct):  # type: ignore[misc]
    n: int
    key: str = msgspec.field(name='_key', default='')


class Strict(msgspec.Struct, forbid_unknown_fields=True):  # type: ignore[misc, call-arg]
    n: int


@pytest.fixture(params=[True, False], ids=['MessagePack', 'JSON'])
def client(cloud: Sandbox, request: pytest.FixtureRequest) -> Iterator[ScrapinghubClient]:
    with ScrapinghubClient(cloud.apikey, cloud.dash_url, endpoint=cloud.url, use_msgpack=request.param) as client:
        client.transport.clock = ManualClock()
        yield client


def make_job(project: Project, items: list[dict[str, Any]]) -> Job:
    job = project.jobs.run('books', meta={'state': 'running'})
    for item in items:
        job.items.write(item)
    job.close_writers()
    job.finish()
    return job


@pytest.fixture
def job(project: Project) -> Job:
    return make_job(
        project, [{'n': n, 'title': f't\u2028{n}', 'offers': [{'price': n / 2, 'x': 1}]} for n in range(COUNT)]
    )


def test_records_have_the_type(job: Job) -> None:
    books: list[Any] = job.items.list(type=Book)
    assert books == [Book(n, f't\u2028{n}', [Offer(n / 2)]) for n in range(COUNT)]
    assert list(job.items.iter(type=BookClass)) == [BookClass(n, f't\u2028{n}') for n in range(COUNT)]
    assert job.items.list(type=BookDict, count=2) == [{'n': 0, 'title': 't\u20280'}, {'n': 1, 'title': 't\u20281'}]
    filtered: list[Any] = job.items.list(type=Book, filter=('n', '>', [47]))
    assert [book.n for book in filtered] == [48, 49]
    indexed: list[Any] = job.items.list(type=Keyed, index=[7, 3])
    assert [(book.n, book.key) for book in indexed] == [(3, f'{job.key}/3'), (7, f'{job.key}/7')]


@pytest.mark.parametrize('cut', [0, 100, 700, 1500])
def test_a_broken_read_continues(cloud: Sandbox, job: Job, cut: int) -> None:
    expected: list[Any] = job.items.list(type=Book)
    cloud.faults.add(path=f'/items/{job.key}', cut=cut, times=3)
    assert job.items.list(type=Book) == expected


def test_a_record_that_does_not_fit_is_an_error_and_skipped_by_the_next_step(cloud: Sandbox, project: Project) -> None:
    items: list[dict[str, Any]] = [{'n': n, 'title': 'x'} for n in range(6)]
    items[2]['n'] = 'two'
    del items[4]['title']
    job = make_job(project, items)
    before = len(cloud.requests)
    books: Any = job.items.iter(type=Book)
    found: list[int] = []
    errors: list[DecodeError] = []
    while True:
        try:
            found.extend(book.n for book in books)
            break
        except DecodeError as error:
            errors.append(error)
    assert found == [0, 1, 3, 5]
    assert [(error.key, error.field) for error in errors] == [(f'{job.key}/2', 'n'), (f'{job.key}/4', 'title')]
    assert str(errors[0]) == f'the record {job.key}/2 does not fit Book: Expected `int`, got `str` - at `$.n`'
    assert isinstance(errors[0].__cause__, msgspec.ValidationError)
    # The first request, and one after each error: none is a retry.
    assert len(cloud.requests) - before == 3


def test_an_exception_of_the_class_does_not_end_the_iteration(project: Project) -> None:
    @dataclasses.dataclass
    class Checked:
        n: int

        def __post_init__(self) -> None:
            if self.n == 1:
                raise KeyError(self.n)

    job = make_job(project, [{'n': n} for n in range(3)])
    records: Any = job.items.iter(type=Checked)
    assert next(records).n == 0
    with pytest.raises(DecodeError) as info:
        next(records)
    assert info.value.key == f'{job.key}/1'
    assert isinstance(info.value.__cause__, KeyError)
    assert next(records).n == 2


def test_a_nested_field_is_named(project: Project) -> None:
    job = make_job(project, [{'n': 1, 'title': 'x', 'offers': [{'price': 1}, {'price': None}]}])
    with pytest.raises(DecodeError) as info:
        job.items.list(type=Book)
    assert info.value.field == 'offers[1].price'


def test_progress_counts_typed_records(job: Job) -> None:
    calls: list[Any] = []
    job.items.list(type=Book, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (COUNT, COUNT)


@pytest.mark.parametrize(
    ('kind', 'error', 'message'),
    [
        (dict, TypeError, 'msgspec.Struct, a dataclass or a TypedDict'),
        (Book(1, 'x'), TypeError, 'msgspec.Struct, a dataclass or a TypedDict'),
        ('Book', TypeError, 'msgspec.Struct, a dataclass or a TypedDict'),
        (Strict, ValueError, 'Strict forbids unknown fields'),
    ],
)
def test_other_types_are_refused_at_the_call(
    cloud: Sandbox, client: ScrapinghubClient, kind: Any, error: type[Exception], message: str
) -> None:
    items = client.get_job('1/1/1').items
    before = len(cloud.requests)
    with pytest.raises(error, match=message):
        items.iter(type=kind)
    with pytest.raises(TypeError, match='type'):
        items.follow(type=Book)
    assert len(cloud.requests) == before


def test_the_extra_is_named_if_it_is_missing(client: ScrapinghubClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'msgspec', None)
    with pytest.raises(ImportError, match=r'pip install "scrapinghub\[fast\]"'):
        client.get_job('1/1/1').items.iter(type=BookDict)
