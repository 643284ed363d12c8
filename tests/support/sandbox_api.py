"""What tests of the queue server and the dash ask: one request, the status that must come, the values in the answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import requests

from scrapinghub.sandbox import Sandbox
from support.http_caller import START as NOW
from support.http_caller import Clock

__all__ = ['NOW', 'TABLES', 'Api', 'Clock', 'json_lines', 'rows']


class Api:
    """Requests to one sandbox with its API key, or with other credentials."""

    def __init__(self, cloud: Sandbox, clock: Clock) -> None:
        self.cloud = cloud
        self.clock = clock
        self.session = requests.Session()
        self.session.trust_env = False
        self.auth: tuple[str, str] | None = (cloud.apikey, '')

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def ask(self, method: str, path: str, status: int = 200, **options: Any) -> requests.Response:
        """Send a request and check the status of the answer.

        Args:
            method: The method.
            path: The path, with its query.
            status: The status that must come.
            options: Of :meth:`requests.Session.request`.
        """
        options.setdefault('auth', self.auth)
        response = self.session.request(method, self.cloud.url + path.lstrip('/'), timeout=30, **options)
        assert response.status_code == status, f'{method} {path}: {response.status_code} {response.text[:500]}'
        return response

    def get(self, path: str, **options: Any) -> Any:
        """Return the one JSON value that a path answers."""
        return self.ask('GET', path, **options).json()

    def lines(self, path: str, **options: Any) -> list[Any]:
        """Return the JSON lines that a path answers."""
        return json_lines(self.ask('GET', path, **options).text)

    def post(self, path: str, *values: Any, status: int = 200, **options: Any) -> list[Any]:
        """Post values as JSON lines, return the JSON lines of the answer, nothing of an error."""
        body = '\n'.join(json.dumps(value) for value in values)
        answer = self.ask('POST', path, status, data=body, **options)
        return json_lines(answer.text) if answer.ok else []

    def push(self, spider: str = 'one', project: int = 1, **fields: Any) -> str:
        """Push a job, return its key."""
        (answer,) = self.post(f'/jobq/{project}/push', {'spider': spider, **fields})
        key: str = answer['key']
        return key

    def update(self, key: str, **fields: Any) -> list[Any]:
        """Update a job or all jobs of a spider."""
        return self.post(f'/jobq/{key.split("/", maxsplit=1)[0]}/update', {'key': key, **fields})

    def meta(self, key: str) -> Any:
        """Return the metadata of a job."""
        (meta,) = self.lines(f'/jobs/{key}')
        return meta

    def events(self, project: int = 1) -> list[str]:
        """Return the events of a project as ``job event``, the oldest first."""
        events = self.lines(f'/activity/{project}')
        return [f'{event["job"]} {event["event"].removeprefix("job:")}' for event in reversed(events)]

    def keys(self, query: str = '', project: int = 1) -> list[str]:
        """Return the keys of the jobs that the queue lists."""
        return [job['key'] for job in self.lines(f'/jobq/{project}/list?{query}')]


def json_lines(text: str) -> list[Any]:
    """Decode JSON lines."""
    return [json.loads(line) for line in text.split('\n') if line]


def rows(cloud: Sandbox, tables: Iterable[str]) -> dict[str, list[Any]]:
    """Return all rows of some tables, to see whether something has changed."""
    connection = cloud.store.read()
    return {table: connection.execute(f'SELECT * FROM "{table}" ORDER BY 1, 2').fetchall() for table in tables}


#: All tables of jobs and projects.
TABLES = ('jobs', 'job_tags', 'spiders', 'versions', 'project_settings', 'botgroups', 'activity', 'eggs', 'reports')
