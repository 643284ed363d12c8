"""Job metadata, ``/jobs``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from scrapinghub.sandbox.routes._support import parameters
from scrapinghub.sandbox.routes._support.call import Call
from scrapinghub.sandbox.routes._support.services import (
    LINES_QUEUE,
    queue_empty,
    queue_headers,
    queue_lines,
    queue_value,
)
from scrapinghub.sandbox.server.response import Response
from scrapinghub.sandbox.store import job_lifecycle, jobs, records
from scrapinghub.sandbox.store.jobs import Job

STORED = 'text/html; charset=utf-8'
"""Content type of the empty answer to a write, as recorded."""
PAGE = 500


def read_job(call: Call, project: int, spider: int, number: int) -> Response:
    """Return the metadata of a job; nothing for a job that does not exist."""
    job = jobs.fetch(call.store.read(), project, spider, number)
    return queue_lines([] if job is None else [job.metadata])


def read_field(call: Call, project: int, spider: int, number: int, name: str) -> Response:
    """Return one field of the metadata, null when there is none; ``auth`` is the token of a running job."""
    job = jobs.fetch(call.store.read(), project, spider, number)
    if job is None:
        return queue_value(None)
    return queue_value(job.token if name == 'auth' else job.metadata.get(name))


def write_job(call: Call, project: int, spider: int, number: int) -> Response:
    """Merge fields into the metadata."""
    return _merged(call, project, spider, number, parameters.one_object(call))


def write_field(call: Call, project: int, spider: int, number: int, name: str) -> Response:
    """Store one field of the metadata."""
    return _merged(call, project, spider, number, {name: call.json_value()})


def _merged(call: Call, project: int, spider: int, number: int, fields: dict[str, Any]) -> Response:
    with parameters.reject_invalid(call), call.store.write() as connection:
        job = jobs.fetch(connection, project, spider, number)
        if job is None:
            call.fail(404, f'job {project}/{spider}/{number} does not exist')
        job_lifecycle.merge_metadata(connection, job, fields)
    return queue_empty(STORED)


def delete_field(call: Call, project: int, spider: int, number: int, name: str) -> Response:
    """Delete one field of the metadata; an absent one is fine."""
    with parameters.reject_invalid(call), call.store.write() as connection:
        job = jobs.fetch(connection, project, spider, number)
        if job is not None:
            job_lifecycle.remove_field(connection, job, name)
    return queue_empty(STORED)


def delete_job(call: Call, project: int, spider: int, number: int) -> Response:
    """Delete a job and its data, if it exists."""
    with call.store.write() as connection:
        job = jobs.fetch(connection, project, spider, number)
        if job is not None:
            job_lifecycle.delete_record(connection, job)
            records.purge(connection, (project, spider, number))
    return queue_empty(STORED)


def read_many(call: Call, project: int, spider: int | None = None) -> Response:
    """Return the metadata of all jobs of a project or of a spider, deleted ones too, by job key."""
    with_key = '_key' in call.args().getlist('meta')

    def shown(job: Job) -> bytes:
        return json.dumps({**job.metadata, '_key': job.key} if with_key else job.metadata).encode()

    def lines() -> Iterator[bytes]:
        separator = b''
        after = (spider or 0, 0)
        while found := jobs.after(call.store.read(), project, after, spider=spider, count=PAGE):
            yield separator + b'\n'.join(map(shown, found))
            separator = b'\n'
            after = (found[-1].spider_id, found[-1].number)

    return Response(headers=queue_headers(LINES_QUEUE), body=lines())


ROUTES: list[tuple[str, tuple[str, ...], Callable[..., Response]]] = [
    ('/jobs/<int:project>', ('GET',), read_many),
    ('/jobs/<int:project>/<int:spider>', ('GET',), read_many),
    ('/jobs/<int:project>/<int:spider>/<int:number>', ('GET',), read_job),
    ('/jobs/<int:project>/<int:spider>/<int:number>', ('POST',), write_job),
    ('/jobs/<int:project>/<int:spider>/<int:number>', ('DELETE',), delete_job),
    ('/jobs/<int:project>/<int:spider>/<int:number>/<path:name>', ('GET',), read_field),
    ('/jobs/<int:project>/<int:spider>/<int:number>/<path:name>', ('POST',), write_field),
    ('/jobs/<int:project>/<int:spider>/<int:number>/<path:name>', ('DELETE',), delete_field),
]
