"""Demo data: two spiders, jobs in every state, their records, collections and a frontier."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from scrapinghub.sandbox.server.local_client import LocalClient, segment

if TYPE_CHECKING:
    from scrapinghub.sandbox.cloud import Sandbox

MINUTE = 60_000
HOUR = 60 * MINUTE
TITLES = (
    'A Field Guide to Lichens',
    'Bread and Salt',
    'Deep Sea, Small Boat',
    'Ein Sommer in Görlitz',
    'Five Kinds of Silence',
    'Gardens of Stone',
    'How to Lose a Map',
    'Île flottante',
    'Just Before Rain',
)
SITE = 'https://books.example'


def seed_demo(cloud: Sandbox, project: int) -> bool:
    """Fill a project with demo data of the last hours.

    Args:
        cloud: The sandbox.
        project: The project's id.

    Returns:
        Whether it was filled; a project that has jobs is not changed.
    """
    demo = Demo(cloud, project)
    # The clock is moved: periodic jobs of other projects must not run for past minutes.
    with cloud.scheduler.suspended():
        try:
            if demo.has_jobs():
                return False
            demo.fill()
            return True
        finally:
            cloud.clock.reset()
            cloud.store.release()


class Demo:
    """The demo of one project.

    Args:
        cloud: The sandbox; its clock is moved while the data are stored.
        project: The project's id.
    """

    def __init__(self, cloud: Sandbox, project: int) -> None:
        self._clock = cloud.clock
        self._client = LocalClient(cloud.app, cloud.apikey)
        self._project = project
        self._now = cloud.clock()
        # The demo is the same on every machine, so that documentation can describe it.
        self._random = Random(2016)

    def has_jobs(self) -> bool:
        """Return whether the project has jobs."""
        states = ['pending', 'running', 'finished']
        return bool(self._client.value(f'/jobq/{self._project}/count', state=states))

    def fill(self) -> None:
        """Store all data, from the oldest to the newest."""
        self._client.post(f'/projects/{self._project}/settings', [{'default_job_units': 1, 'job_runtime_limit': 24}])
        for hours, items in ((26, 40), (14, 44)):
            self._finished('books', hours * HOUR, items, tags=['nightly'])
        self._finished('prices', 9 * HOUR, 12, reason='failed', tags=['nightly', 'looked-at'])
        self._finished('books', 2 * HOUR, 46, tags=['nightly'])
        self._deleted('prices', 110 * MINUTE)
        self._cancelled('books', 70 * MINUTE)
        self._at(25 * MINUTE)
        self._scrape(self._push('prices', state='running', spider_args={'country': 'pt'}), 18, 25 * MINUTE)
        self._collections(20 * MINUTE)
        self._frontier(12 * MINUTE)
        self._at(4 * MINUTE)
        self._push('books', priority=3, tags=['nightly'])
        self._push('prices', spider_args={'country': 'es'})
        self._periodic_job()
        self._client.post(f'/activity/{self._project}', [{'event': 'demo:seeded', 'user': 'admin'}])

    def _periodic_job(self) -> None:
        # It is paused, so that the jobs of the demo are the same at every time of the day.
        periodic = {
            'cron': '0 3 * * *',
            'tasks': [{'name': 'books', 'priority': 2, 'spider_args': {}}],
            'addtags': ['nightly'],
            'description': 'All books, once a night',
            'disabled': True,
        }
        self._client.post(f'/api/projects/{self._project}/periodicjobs', [periodic])

    def _at(self, ago: int) -> None:
        self._clock.set(self._now - ago)

    def _push(self, spider: str, **fields: Any) -> str:
        (answer,) = self._client.post(f'/jobq/{self._project}/push', [{'spider': spider, **fields}])
        key: str = answer['key']
        return key

    def _update(self, key: str, **fields: Any) -> None:
        self._client.post(f'/jobq/{self._project}/update', [{'key': key, **fields}])

    def _finished(self, spider: str, ago: int, items: int, *, reason: str = 'finished', tags: list[str]) -> None:
        self._at(ago)
        key = self._push(spider, tags=tags)
        self._at(ago - MINUTE)
        self._update(key, state='running')
        self._scrape(key, items, ago - MINUTE, broken=reason != 'finished')
        self._update(key, state='finished', close_reason=reason)

    def _deleted(self, spider: str, ago: int) -> None:
        self._at(ago)
        key = self._push(spider, state='finished')
        self._at(ago - MINUTE)
        self._update(key, state='deleted')

    def _cancelled(self, spider: str, ago: int) -> None:
        self._at(ago)
        key = self._push(spider)
        self._at(ago - 2 * MINUTE)
        self._client.post(f'/jobq/{self._project}/cancel', [[{'key': key}]])

    def _scrape(self, key: str, items: int, ago: int, *, broken: bool = False) -> None:
        """Store the data of a job that started ``ago`` milliseconds ago and needs ten seconds for each item."""
        began = self._now - ago
        ended = began + items * 10_000
        self._clock.set(min(ended, self._now))
        books = [self._book(number) for number in range(items)]
        self._client.post(f'/items/{key}', books, start=0)
        self._client.post(f'/requests/{key}', self._requests(books, began), start=0)
        self._client.post(f'/logs/{key}', self._logs(key, books, began, broken=broken), start=0)
        samples = [[began + number * 10_000, number + 1, number, 0] for number in range(0, items, 5)]
        self._client.post(f'/samples/{key}', samples, start=0)

    def _book(self, number: int) -> dict[str, Any]:
        title = TITLES[number % len(TITLES)]
        return {
            '_type': 'Book',
            'url': f'{SITE}/catalogue/{1000 + number}',
            'title': title if number < len(TITLES) else f'{title}, vol. {number // len(TITLES) + 1}',
            'price': self._random.randrange(499, 4999) / 100,
            'in_stock': self._random.random() < 0.8,
        }

    def _requests(self, books: list[dict[str, Any]], began: int) -> Iterator[dict[str, Any]]:
        for number, url in enumerate([f'{SITE}/', *(book['url'] for book in books)]):
            yield {
                'url': url,
                'status': 404 if self._random.random() < 0.05 else 200,
                'method': 'GET',
                'rs': self._random.randrange(8_000, 60_000),
                'duration': self._random.randrange(40, 900),
                'parent': 0 if number else None,
                'time': began + number * 10_000,
                'fp': fingerprint(url),
            }

    def _logs(self, key: str, books: list[dict[str, Any]], began: int, *, broken: bool) -> Iterator[dict[str, Any]]:
        yield {'time': began, 'level': 20, 'message': f'Spider opened for job {key}'}
        for number, book in enumerate(books):
            time = began + number * 10_000
            yield {'time': time, 'level': 10, 'message': f'Scraped from <200 {book["url"]}>'}
            if number % 9 == 7:
                yield {'time': time, 'level': 30, 'message': f'No rating on {book["url"]}'}
        if broken:
            message = 'Error processing {}\nTraceback (most recent call last):\nValueError: no price'
            yield {'time': began + len(books) * 10_000, 'level': 40, 'message': message.format(books[-1]['url'])}

    def _collections(self, ago: int) -> None:
        self._at(ago)
        books = [{'_key': f'isbn-{number:03}', **self._book(number)} for number in range(30)]
        self._client.post(f'/collections/{self._project}/s/books', books)
        pages = [{'_key': f'{SITE}/page/{number}', 'etag': fingerprint(str(number))[:12]} for number in range(1, 9)]
        self._client.post(f'/collections/{self._project}/cs/seen_pages', pages)

    def _frontier(self, ago: int) -> None:
        self._at(ago)
        for number in range(2):
            urls = [f'/catalogue/{number * 150 + page}' for page in range(150)]
            queue = [{'fp': url, 'qdata': {'depth': number + 1}, 'p': number} for url in urls]
            path = f'/hcf/{self._project}/{segment("books")}/s/{segment(number)}'
            self._client.post(path, queue)


def fingerprint(text: str) -> str:
    """Return a fingerprint of a URL."""
    return hashlib.sha256(text.encode()).hexdigest()[:40]
