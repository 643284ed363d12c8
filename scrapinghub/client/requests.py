"""The HTTP requests that a job made."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import six

from scrapinghub.client._support.record_families import Family
from scrapinghub.client._support.records import KeyedRecords
from scrapinghub.client._support.validation import parse_time
from scrapinghub.client.shapes import RequestRecord

__all__ = ['Requests']


class Requests(KeyedRecords[RequestRecord]):
    """The HTTP requests that a job made: ``job.requests``.

    HTTP API: https://docs.zyte.com/scrapy-cloud/usage/reference/http/requests.html

    Safe to share between threads; an iterator is not.

    Args:
        cls: Ignored; kept for programs that pass it.
        client: The client.
        key: Key of the job.

    Attributes:
        key: Key of the job.

    Example:
        >>> number = job.requests.add('https://example.com/', 200, 'GET', 1270, 354, 1482233733870)
        >>> job.requests.flush()
        >>> [request['url'] for request in job.requests.iter()]
        ['https://example.com/']
    """

    _family = Family('requests', has_msgpack=False)

    def add(
        self,
        url: str,
        status: int,
        method: str,
        rs: int,
        duration: int,
        ts: int | float | datetime,
        parent: int | None = None,
        fp: str | bytes | None = None,
    ) -> int:
        """Queue a request for storing. It is sent within 15 seconds, or by :meth:`flush`.

        Args:
            url: URL of the request.
            status: HTTP status of the response.
            method: HTTP method.
            rs: Size of the response, in bytes.
            duration: Duration of the request, in milliseconds.
            ts: Time of the request: milliseconds since the epoch, or a datetime.
            parent: Number of the request whose response led to this one.
            fp: Fingerprint of the request.

        Returns:
            The number of the request, to use as ``parent`` of others.

        Raises:
            ValueError: ``status``, ``rs``, ``duration`` or ``ts`` is not a number.
            ValueTooLarge: The record is larger than 1 MiB.
            UploadError: Earlier records could not be stored; the error holds them.

        Example:
            >>> number = job.requests.add('https://example.com/', 200, 'GET', 1270, 354, 1482233733870)
            >>> job.requests.add('https://example.com/1', 404, 'GET', 0, 20, 1482233734000, parent=number)
            1
        """
        return self.write(
            {
                'url': url,
                'status': _parse_integer('status', status),
                'method': method,
                'rs': _parse_integer('rs', rs),
                'duration': _parse_integer('duration', duration),
                'parent': parent,
                'time': parse_time('ts', ts),
                'fp': six.ensure_text(fp) if isinstance(fp, bytes) else fp,
            }
        )


def _parse_integer(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f'{name} should be an integer, got {value!r}') from error
