"""One record of a response may have 4 MiB, after decompression; values that hold many records may have 64 MiB."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from scrapinghub import ScrapinghubClient
from scrapinghub.exceptions import DecodeError
from scrapinghub.transport import codec
from support.clocks import ManualClock
from support.scripted_server import JSON_LINES, MSGPACK, Wire, reply

MIB = 1024 * 1024


def lines(*records: Any) -> bytes:
    return b''.join(json.dumps(record).encode() + b'\n' for record in records)


def record(size: int) -> dict[str, Any]:
    return {'_key': '1/2/3/0', 'id': 'a', 'requests': [], 'text': 'x' * size}


READS: dict[str, Callable[[ScrapinghubClient], Any]] = {
    'items/1/2/3': lambda client: client.get_job('1/2/3').items.list(),
    'logs/1/2/3': lambda client: client.get_job('1/2/3').logs.list(),
    'requests/1/2/3': lambda client: client.get_job('1/2/3').requests.list(),
    'collections/1/s/a': lambda client: client.get_project(1).collections.get_store('a').list(),
    'items/1/2/3/0': lambda client: client.get_job('1/2/3').items.get(0),
}
VALUES: dict[str, Callable[[ScrapinghubClient], Any]] = {
    'hcf/1/f/s/slot/q': lambda client: client.get_project(1).frontiers.get('f').get('slot').q.list(),
    'jobq/1/summary': lambda client: client.get_project(1).jobs.summary(),
    'jobs/1/2/3': lambda client: client.get_job('1/2/3').metadata.list(),
}


@pytest.mark.parametrize('path', READS)
@pytest.mark.parametrize('content_type', [JSON_LINES, MSGPACK])
def test_a_larger_record_is_an_error_that_names_the_limit(path: str, content_type: str) -> None:
    encode = lines if content_type == JSON_LINES else msgpack.packb
    with Wire({}) as wire, wire.client(max_retries=2) as client:
        client.transport.clock = ManualClock()
        assert client.transport.max_record == 4 * MIB
        client.transport.max_record = 1_200_000
        wire.answers[f'/{path}'] = reply(encode(record(1_000_000)), content_type=content_type, encoding='gzip')
        assert READS[path](client)
        # A piece that completes a record may add a little to the limit.
        wire.answers[f'/{path}'] = reply(encode(record(3_000_000)), content_type=content_type, encoding='gzip')
        with pytest.raises(DecodeError, match=r'larger than 1200000 bytes.*client\.transport\.max_record'):
            READS[path](client)
        client.transport.max_record = 3_100_000
        assert READS[path](client)


@pytest.mark.parametrize('path', VALUES)
def test_a_value_of_many_records_may_be_larger(path: str) -> None:
    with Wire({f'/{path}': reply(lines(record(6 * MIB)), content_type=JSON_LINES)}) as wire:
        assert VALUES[path](wire.client(max_retries=0))
    assert codec.MAX_VALUE_BYTES == 64 * MIB
