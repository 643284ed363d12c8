"""Whatever happens to an answer, a read gives every record once, or raises and goes on after the last one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest

from faults.conftest import World
from faults.reading import READS, storage_stream
from scrapinghub import ScrapinghubAPIError, ScrapinghubClient
from scrapinghub.client.exceptions import DecodeError, StreamInterrupted
from scrapinghub.sandbox.faults.definition import Fault
from scrapinghub.sandbox.faults.schedule import AFTER, BEFORE, BROKEN, UNUSUAL, Schedule

ENCODINGS = ('msgpack gzip', 'json gzip', 'msgpack identity', 'json identity')
KINDS = (*BEFORE, *AFTER, *BROKEN, *UNUSUAL)
# Nothing but the compression shows these.
COMPRESSED_KINDS = ('corrupt', 'cut-open')

MakeClient = Callable[..., ScrapinghubClient]


def table() -> list[Any]:
    """Return every read with every kind of fault; the encodings take turns."""
    encodings = cycle(ENCODINGS)
    rows = [(read, kind, next(encodings)) for read in READS for kind in KINDS]
    compressed = cycle(encoding for encoding in ENCODINGS if 'gzip' in encoding)
    rows += [(read, kind, next(compressed)) for read in READS if storage_stream(read) for kind in COMPRESSED_KINDS]
    return [pytest.param(*row, id=' - '.join(row)) for row in rows]


@pytest.mark.parametrize(('read', 'kind', 'encoding'), table())
def test_every_record_comes_once(world: World, make_client: MakeClient, read: str, kind: str, encoding: str) -> None:
    rule = world.cloud.faults.add(Schedule(f'{read} {kind}', kinds=[kind], rate=1, in_a_row=2), times=None)
    assert list(READS[read](make_client(encoding))) == world.truth[read]
    assert rule.met


@pytest.mark.parametrize('encoding', ENCODINGS)
@pytest.mark.parametrize('read', READS)
def test_random_faults_change_nothing(world: World, make_client: MakeClient, read: str, encoding: str) -> None:
    rule = world.cloud.faults.add(Schedule(f'{read} {encoding}', kinds=KINDS, rate=1, in_a_row=3), times=None)
    assert list(READS[read](make_client(encoding))) == world.truth[read]
    assert rule.met


@pytest.mark.parametrize('read', READS)
def test_a_stream_that_gives_up_says_so_and_can_go_on(world: World, make_client: MakeClient, read: str) -> None:
    # One third of the records arrives, then nothing more does, until somebody mends it.
    truth = world.truth[read]
    world.cloud.faults.add(Schedule(read, kinds=['cut-in-record'], rate=1, in_a_row=1), times=1)
    broken = world.cloud.faults.add(Fault(status=503), times=None)
    # Some send their first request at the call.
    stream = iter(READS[read](make_client('msgpack gzip', max_retries=2)))
    got: list[Any] = []
    with pytest.raises(StreamInterrupted) as caught:
        got.extend(stream)
    assert got == truth[: len(got)]
    assert caught.value.status_code == 503
    assert broken.met
    if 'list_iter' in read or READS[read].__code__.co_names[0] == '_still':
        # These wrap the stream in a generator of the test, which is over.
        assert caught.value.original is not None
        return
    assert caught.value.delivered == len(got)
    with pytest.raises(ScrapinghubAPIError):
        got.extend(stream)
    world.cloud.faults.clear()
    got.extend(stream)
    assert got == truth
    assert next(stream, 'the end') == 'the end'


# A listing that was asked for from the middle may begin with other jobs at any time: nothing tells that from a server
# that ignores where to begin.
@pytest.mark.parametrize('read', [read for read in READS if read != 'jobs start'])
def test_a_server_that_ignores_the_resume_is_found_out(world: World, make_client: MakeClient, read: str) -> None:
    ignored = ('start', 'startafter', 'index', 'offset', 'key')
    world.cloud.faults.add(Schedule(read, kinds=['cut-in-record'], rate=1, in_a_row=1), times=1)
    world.cloud.faults.add(Fault(ignore=ignored), times=None)
    got: list[Any] = []
    try:
        got.extend(READS[read](make_client()))
    except (StreamInterrupted, DecodeError):
        assert got == world.truth[read][: len(got)]
    else:
        assert got == world.truth[read]


@pytest.mark.parametrize('read', READS)
def test_a_refusal_is_raised_at_once(world: World, make_client: MakeClient, read: str) -> None:
    rule = world.cloud.faults.add(Fault(status=403, body='not for you'), times=None)
    with pytest.raises(ScrapinghubAPIError, match='not for you'):
        list(READS[read](make_client()))
    assert len(rule.met) == 1


@pytest.mark.parametrize('read', READS)
def test_html_where_records_are_owed_is_an_error(world: World, make_client: MakeClient, read: str) -> None:
    page = Fault(status=200, body='<html>Log in</html>', headers={'Content-Type': 'text/html'})
    world.cloud.faults.add(page, times=None)
    with pytest.raises(ScrapinghubAPIError, match='Log in'):
        list(READS[read](make_client()))
