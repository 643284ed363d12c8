"""The HTTP requests that a job made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import six

from scrapinghub.client._support.lists import listed
from scrapinghub.client._support.parameters import Time
from scrapinghub.client._support.records import Below, Filters, Names, Records, RequestsParams
from scrapinghub.client.shapes import RequestRecord

__all__ = ['Requests']


class Requests(Records[RequestRecord]):
    """The HTTP requests that a job made: ``job.requests``.

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

    _family = 'requests'
    _offers_msgpack = False

    def iter(
        self,
        _path: Below = None,
        count: int | None = None,
        requests_params: RequestsParams = None,
        *,
        start: int | str | None = None,
        startafter: str | None = None,
        index: int | Iterable[int] | None = None,
        filter: Filters = None,
        meta: Names = None,
        startts: Time = None,
        endts: Time = None,
        nodata: bool | None = None,
        **params: Any,
    ) -> Iterator[RequestRecord]:
        """Iterate over the requests of this job, in the order in which they were written.

        Records are streamed: the first one comes when it has arrived, and memory does not grow with the job.

        Args:
            _path: What to read below the job instead of all records: the number of one.
            count: Stop after this many records.
            requests_params: Options of the HTTP library for this call: ``timeout`` (seconds), ``headers``, ``proxies``
                and the like.
            start: Begin at this record: its number or its key.
            startafter: Begin after the record with this key.
            index: Only the records with these numbers.
            filter: Only matching records: a condition ``(field, operator, [argument, …])``, or a list of them.
            meta: Names of further fields of the service: ``_key``, ``_ts``.
            startts: Only records stored at or after this time, in milliseconds since the epoch.
            endts: Only records stored before this time, in milliseconds since the epoch.
            nodata: Return the fields of ``meta`` alone.
            **params: Further parameters of the service.

        Yields:
            A dict with ``time`` (milliseconds since the epoch), ``url``, ``method``, ``status``, ``rs`` (size of the
            response in bytes), ``duration`` (milliseconds), and, where they were given, ``parent`` and ``fp``.

        Raises:
            BadRequest: The service does not understand a parameter.
            StreamInterrupted: The connection broke and could not be resumed; iterating again goes on.

        Example:
            >>> [request['status'] for request in job.requests.iter(count=1)]
            [200]
        """
        named = {
            'start': start,
            'startafter': startafter,
            'index': index,
            'filter': filter,
            'meta': meta,
            'startts': startts,
            'endts': endts,
            'nodata': nodata,
        }
        return self._read(_path, count, requests_params, named, params)

    list = listed(iter)

    def add(
        self,
        url: str,
        status: int,
        method: str,
        rs: int,
        duration: int,
        ts: int,
        parent: int | None = None,
        fp: str | bytes | None = None,
    ) -> int:
        """Queue a request for storing; it leaves within 15 seconds, or with :meth:`flush`.

        Args:
            url: Its address.
            status: HTTP status of the response.
            method: HTTP method.
            rs: Size of the response, in bytes.
            duration: How long it took, in milliseconds.
            ts: When it was made, in milliseconds since the epoch.
            parent: Number of the request whose response led to this one.
            fp: Fingerprint of the request.

        Returns:
            Its number, which requests that follow from it name as ``parent``.

        Raises:
            ValueError: A number is none.
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
                'status': _whole('status', status),
                'method': method,
                'rs': _whole('rs', rs),
                'duration': _whole('duration', duration),
                'parent': parent,
                'time': _whole('ts', ts),
                'fp': six.ensure_text(fp) if isinstance(fp, bytes) else fp,
            }
        )


def _whole(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f'{name} should be an integer, got {value!r}') from error
