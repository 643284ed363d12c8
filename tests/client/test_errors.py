"""What the errors say: the words of the service first, then what helps; the first line alone is often all one sees."""

from __future__ import annotations

import socket
import ssl
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from urllib3 import exceptions as urllib3_errors

from scrapinghub import ScrapinghubClient
from scrapinghub.client.projects import Project
from scrapinghub.exceptions import (
    BadRequest,
    BodyBroken,
    ConnectionFailed,
    NetworkError,
    NotFound,
    ReadTimedOut,
    ScrapinghubAPIError,
    StreamInterrupted,
    Unauthorized,
    UploadError,
)
from scrapinghub.sandbox import Sandbox
from scrapinghub.transport.http.connections import Prepared
from scrapinghub.transport.http.network_errors import describe, hint_for
from support.scripted_server import KEY, Reply, Server, Wire, json_reply, reply

Ask = Callable[[ScrapinghubClient], object]

ASKS: dict[str, Ask] = {
    'a call': lambda client: client.get_project(1).jobs.count(),
    'the dash': lambda client: client.projects.list(),
    'a stream': lambda client: client.get_job('1/1/1').items.list(),
    'a post': lambda client: client.get_project(1).collections.get_store('books').set({'_key': 'a'}),
}


def lines_of(error: BaseException) -> list[str]:
    """Return the lines that a user sees; none of them is empty, and none holds a key."""
    lines = str(error).splitlines()
    assert all(line.strip() for line in lines)
    assert KEY not in str(error)
    return lines


def shown(error: BaseException) -> str:
    """Return what Python prints when nobody catches the error."""
    return ''.join(traceback.format_exception(error))


# 401


@pytest.mark.parametrize('ask', ASKS.values(), ids=ASKS)
def test_a_refused_key(cloud: Sandbox, ask: Ask) -> None:
    with ScrapinghubClient(KEY, cloud.dash_url, endpoint=cloud.url) as client, pytest.raises(Unauthorized) as caught:
        ask(client)
    words, request, hint = lines_of(caught.value)
    assert words in ('Unauthorized', 'Authentication failed')
    assert request.split(' ')[0] in ('GET', 'POST')
    assert hint.startswith('The client used an API key, given by the argument auth.')
    assert 'Zyte API' in hint


def test_a_refused_key_of_a_writer(cloud: Sandbox) -> None:
    with ScrapinghubClient(KEY, cloud.dash_url, endpoint=cloud.url) as client:
        items = client.get_job('1/1/1').items
        items.write({'a': 1})
        with pytest.raises(UploadError) as caught:
            items.flush()
        assert items.writer().take_back() == [{'a': 1}]
    words, request, records, hint = lines_of(caught.value)
    assert words == 'Unauthorized'
    assert request == 'POST items/1/1/1: HTTP 401 for job 1/1/1'
    assert 'are not stored' in records
    assert 'an API key, given by the argument auth' in hint


@pytest.mark.parametrize(
    ('variables', 'kind'),
    [
        ({'SH_APIKEY': KEY}, 'an API key, given by the environment variable SH_APIKEY'),
        ({'SHUB_APIKEY': f'{KEY}:pw'}, 'a user and a password, given by the environment variable SHUB_APIKEY'),
        (
            {'SHUB_JOBAUTH': b'1/2/3:token'.hex()},
            'job credentials, given by the environment variable SHUB_JOBAUTH',
        ),
    ],
    ids=['key', 'password', 'job'],
)
def test_where_refused_credentials_came_from(
    cloud: Sandbox, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], kind: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)
        client = ScrapinghubClient(None, cloud.dash_url, endpoint=cloud.url)
    with client, pytest.raises(Unauthorized) as caught:
        client.get_project(1).jobs.count()
    assert f'The client used {kind}' in lines_of(caught.value)[-1]


def test_an_empty_key_is_called_one(cloud: Sandbox) -> None:
    with ScrapinghubClient('', cloud.dash_url, endpoint=cloud.url) as client, pytest.raises(Unauthorized) as caught:
        client.get_project(1).jobs.count()
    assert 'The client used an empty API key' in str(caught.value)


# 404 and 400


def test_a_collection_that_nobody_wrote_to(project: Project) -> None:
    books = project.collections.get_store('books')
    for read in (books.list, books.count):
        with pytest.raises(NotFound) as caught:
            read()
        first, second, third = lines_of(caught.value)
        assert first == 'unknown collection books'
        assert 'there is no collection books in project 1, or no access to project 1' in second
        assert third.startswith('There is no collection 1/s/books.')
    for key in ('a', 'a/b'):
        with pytest.raises(NotFound) as caught:
            books.get(key)
        assert lines_of(caught.value)[-1].startswith(f'There is no record {key!r} in collection 1/s/books')


def test_what_does_not_exist_is_named(client: ScrapinghubClient, project: Project) -> None:
    missing: dict[str, Callable[[], object]] = {
        'periodic job 99 in project 1': lambda: project.periodic_jobs.get(99),
        'item 5 in job 1/1/99': lambda: client.get_job('1/1/99').comments.add(5, 'text'),
    }
    for subject, call in missing.items():
        with pytest.raises(NotFound) as caught:
            call()
        assert f'there is no {subject}, or no access to project' in lines_of(caught.value)[1]


def test_errors_of_the_dash_name_the_project(client: ScrapinghubClient) -> None:
    project = client.get_project(999)
    for call in (lambda: project.jobs.run('books'), project.spiders.list):
        with pytest.raises(BadRequest, match='HTTP 403 for project 999'):
            call()


def test_a_filter_that_the_service_does_not_understand(client: ScrapinghubClient, project: Project) -> None:
    books = project.collections.get_store('books')
    books.set({'_key': 'a'})
    job = project.jobs.run('news')
    for read in (job.items, job.logs, job.requests, job.samples, books, project.activity):
        with pytest.raises(BadRequest) as caught:
            read.list(filter=[('size', '~', [3]), ('size', '>', [1])])
        words, _, hint = lines_of(caught.value)
        assert "operator '~'" in words
        assert hint.startswith('The request was filtered by ["size", "~", [3]] and ["size", ">", [1]].')
        assert 'A filter is (field, operator, argument)' in hint
    with pytest.raises(BadRequest, match='filtered by nonsense'):
        books.count(filter='nonsense')


def test_a_bad_request_without_a_filter_says_nothing_of_filters(project: Project) -> None:
    with pytest.raises(BadRequest) as caught:
        project.collections.get_store('books').set({'value': 1})
    assert lines_of(caught.value) == [
        'Error parsing data, missing value for _key field',
        'POST collections/1/s/books: HTTP 400 for collection books in project 1',
    ]


def test_the_words_of_the_service_are_not_touched() -> None:
    for body in (b'words\n', b'words', b'two\nlines\n'):
        error = ScrapinghubAPIError(body.decode())
        error.add_hint('help')
        error.add_hint(None)
        error.add_hint('more')
        assert str(error).startswith(body.decode())
        assert str(error).splitlines()[-2:] == ['help', 'more']
        assert '\n\n' not in str(error)


# Time


@pytest.fixture
def mute() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        yield f'http://127.0.0.1:{listener.getsockname()[1]}'


def client_of(url: str, **options: Any) -> ScrapinghubClient:
    return ScrapinghubClient(KEY, f'{url}/api/', **{'endpoint': url, 'max_retries': 0, **options})


LIMIT = (
    'The limit of 0.05 seconds for each wait for the server is the connection_timeout of the client: '
    'pass a larger connection_timeout=…, in seconds.'
)


@pytest.mark.parametrize('ask', ASKS.values(), ids=ASKS)
def test_a_time_out_names_its_limit(mute: str, ask: Ask) -> None:
    with client_of(mute, connection_timeout=0.05) as client, pytest.raises(requests.ReadTimeout) as caught:
        ask(client)
    lines = lines_of(caught.value)
    assert lines[0].split(' ', 1)[0] in ('GET', 'POST')
    assert lines[0].endswith(': timed out while waiting for the server')
    assert lines[-1] == LIMIT


def test_a_time_out_of_one_call_names_it(mute: str) -> None:
    for timeout in (0.05, (5, 0.05)):
        with client_of(mute) as client, pytest.raises(StreamInterrupted) as caught:
            client.get_job('1/1/1').items.list(requests_params={'timeout': timeout})
        words, delivered, limit = lines_of(caught.value)
        assert words == f'GET {mute}/items/1/1/1: timed out while waiting for the server'
        assert delivered == 'No record was received before.'
        assert limit.startswith("The limit of 0.05 seconds for each wait for the server is the 'timeout' in requests_p")


def test_a_time_out_of_a_call_that_may_have_been_carried_out_says_both(mute: str) -> None:
    with client_of(mute, connection_timeout=0.05) as client, pytest.raises(ReadTimedOut) as caught:
        client.get_project(1).jobs.run('news')
    assert caught.value.maybe_applied
    _, limit, look = lines_of(caught.value)
    assert limit == LIMIT
    assert look.startswith('The service may have scheduled the job')
    with client_of(mute, connection_timeout=0.05) as client, pytest.raises(ReadTimedOut) as caught:
        client.get_job('1/2/3').finish()
    assert "job.metadata['state']" in lines_of(caught.value)[2]


def test_a_time_out_inside_an_answer() -> None:
    stop = threading.Event()
    answer = reply(b'12', cut=1)
    with Server(lambda request: Reply(answer.data, hold=stop)) as server:
        with client_of(server.url, connection_timeout=0.05) as client, pytest.raises(ReadTimedOut) as caught:
            client.get_project(1).jobs.count()
        stop.set()
    assert lines_of(caught.value) == [f'GET {server.url}/jobq/1/count: timed out while waiting for the server', LIMIT]


def test_a_time_out_of_an_upload_names_its_limit(mute: str) -> None:
    # More than the buffers of a connection hold.
    records = [{'_key': str(number), 'text': 'x' * 1_000_000} for number in range(30)]
    with client_of(mute, connection_timeout=0.05) as client, pytest.raises(NetworkError) as caught:
        client.get_project(1).collections.get_store('s').set(records)
    lines = lines_of(caught.value)
    assert lines[0].endswith(': timed out while sending the request')
    assert lines[-1] == LIMIT


def test_a_time_out_while_connecting() -> None:
    request = Prepared()
    request.timeout = (0.5, 60)
    inner = urllib3_errors.ConnectTimeoutError(None, 'Connection to x timed out. (connect timeout=0.5)')
    pool: Any = None
    error = requests.ConnectTimeout(urllib3_errors.MaxRetryError(pool, '/items/1', inner), request=request)
    assert describe(error) == 'timed out while opening the connection'
    assert (hint_for(error, 60) or '').startswith(
        'The limit of 0.5 seconds for opening a connection is the connection_t'
    )


def test_a_body_that_trickles_in() -> None:
    error = requests.ReadTimeout('the response did not arrive within 300 seconds')
    assert describe(error) == 'the response did not arrive within 300 seconds'
    assert 'may take 5 times connection_timeout' in (hint_for(error, 60) or '')


@pytest.mark.parametrize('value', ['60', -1, float('inf'), float('nan'), (3, 5)])
def test_what_is_no_time_out_is_refused_at_once(value: Any) -> None:
    with pytest.raises(ValueError, match=r'^connection_timeout should be a positive number of seconds, got '):
        ScrapinghubClient(KEY, connection_timeout=value)


# Connections


@pytest.fixture
def nobody() -> str:
    """The address of a port at which nobody listens."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    return f'http://127.0.0.1:{port}'


@pytest.mark.parametrize('ask', ASKS.values(), ids=ASKS)
def test_a_refused_connection(nobody: str, ask: Ask) -> None:
    with client_of(nobody) as client, pytest.raises(requests.ConnectionError) as caught:
        ask(client)
    assert isinstance(caught.value, ScrapinghubAPIError)
    first = lines_of(caught.value)[0]
    assert first.split(' ', 1)[1].startswith(f'{nobody}/')
    assert ': the connection could not be opened: ' in first
    assert 'refused' in first
    assert 'urllib3' not in first
    assert isinstance(caught.value.http_error, requests.ConnectionError)


def test_how_often_it_was_tried(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SCRAPINGHUB_INSTANT_RETRIES', '1')
    with client_of(nobody, max_retries=1) as client, pytest.raises(ConnectionFailed) as caught:
        client.get_project(1).jobs.count()
    assert lines_of(caught.value)[0].endswith(' (2 attempts)')


def test_a_name_that_cannot_be_resolved() -> None:
    with client_of('http://nobody.invalid') as client, pytest.raises(ConnectionFailed) as caught:
        client.get_project(1).jobs.count()
    assert 'GET http://nobody.invalid/jobq/1/count: the name of the host cannot be resolved: ' in str(caught.value)


BROKEN: list[tuple[Reply, type[NetworkError], str]] = [
    (Reply(b'', close=True), ConnectionFailed, 'the server closed the connection without a response'),
    (Reply(b'', reset=True), ConnectionFailed, 'the connection broke: '),
    (Reply(b'HTTP/1.1 200 OK\r\nContent-', close=True), ConnectionFailed, 'the response broke off: IncompleteRead('),
    (Reply(b'SSH-2.0\r\n\r\n', close=True), ConnectionFailed, 'the server does not speak HTTP, its response begins'),
    (reply(b'12345', cut=2), BodyBroken, 'the response broke off: IncompleteRead(2 bytes read, 3 more expected)'),
    (reply(b'12345', framing='chunked', cut=2), BodyBroken, 'the response broke off: IncompleteRead('),
]


@pytest.mark.parametrize(('answer', 'kind', 'words'), BROKEN)
def test_an_answer_that_breaks_off(answer: Reply, kind: type[NetworkError], words: str) -> None:
    with Server(lambda request: answer) as server:
        with client_of(server.url) as client, pytest.raises(kind) as caught:
            client.get_project(1).jobs.count()
        assert lines_of(caught.value)[0].startswith(f'GET {server.url}/jobq/1/count: {words}')


def test_a_proxy_that_is_not_there(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HTTP_PROXY', nobody.replace('http://', 'http://user:topsecret@'))
    monkeypatch.setenv('NO_PROXY', '')
    with client_of('http://service.invalid') as client, pytest.raises(NetworkError) as caught:
        client.get_project(1).jobs.count()
    words, hint = lines_of(caught.value)
    assert words.startswith('GET http://service.invalid/jobq/1/count: the proxy cannot be used: ')
    assert 'HTTPS_PROXY' in hint
    assert 'topsecret' not in shown(caught.value)


def tls_error(inner: ssl.SSLError) -> requests.exceptions.SSLError:
    pool: Any = None
    return requests.exceptions.SSLError(urllib3_errors.MaxRetryError(pool, '/', urllib3_errors.SSLError(inner)))


def test_a_server_without_tls() -> None:
    error = tls_error(ssl.SSLError(1, '[SSL: WRONG_VERSION_NUMBER] wrong version number'))
    assert describe(error).startswith('the TLS connection could not be made: [SSL: WRONG_VERSION_NUMBER]')
    assert hint_for(error, 60) is None


def test_a_certificate_that_is_not_trusted() -> None:
    error = tls_error(ssl.SSLCertVerificationError(1, 'certificate verify failed: self-signed certificate'))
    assert describe(error).startswith('the certificate of the server is not trusted: ')
    assert 'REQUESTS_CA_BUNDLE' in (hint_for(error, 60) or '')


def test_an_unknown_failure_is_told_by_its_classes() -> None:
    assert describe(requests.ConnectionError(RuntimeError('http://user:pw@host'))) == 'ConnectionError <- RuntimeError'


# Arguments


# Type checkers see most of these; programs without one do not.
ANY_CLIENT: Any = ScrapinghubClient
WRONG_ARGUMENTS: list[tuple[Callable[[Any], object], type[Exception], str]] = [
    (lambda project: project.jobs.iter_all(stat='running'), TypeError, "'stat', did you mean 'state'?"),
    (lambda project: project.jobs.list(jobmeta='a', meta='b'), TypeError, "'meta' and 'jobmeta' are two spellings"),
    (lambda project: project.jobs.iter(startts=1, start_ts=2), TypeError, "'startts' and 'start_ts' are two spellings"),
    (lambda project: project.jobs.iter(count='many'), ValueError, "count should be an integer, got 'many'"),
    (lambda project: project.jobs.get('1/2'), ValueError, "project_id/spider_id/job_id, got '1/2'"),
    (lambda project: project.jobs.get('2/1/1'), ValueError, '2/1/1 is not of project 1'),
    (lambda project: project.jobs.cancel(['2/1/1']), ValueError, '2/1/1 belongs to another project'),
    (
        lambda project: project.activity.add({'job': '2/1/1'}),
        ValueError,
        "'2/1/1' of an event does not belong to project 1",
    ),
    (lambda project: project.collections.get('x', 'books'), ValueError, 'accepted: s, cs, vs, vcs'),
    (lambda project: project.collections.get_store('b').set('a'), TypeError, "a dict or an iterable of dicts, got 'a'"),
    (lambda project: project.jobs.get('1/1/1').logs.log('', level='LOUD'), ValueError, 'DEBUG, INFO, WARNING, ERROR'),
    (lambda project: project.jobs.get('1/1/1').logs.iter(level='LOUD'), ValueError, 'DEBUG, INFO, WARNING, ERROR'),
    (lambda project: project.jobs.get('1/1/1').items.iter(filter=3), ValueError, 'must be string, tuple or list'),
    (lambda project: project.jobs.get('1/1/1').items.iter(requests_params=3), TypeError, 'a dict with any of auth'),
    (lambda project: project.frontiers.get('f').get('s').q.add(['a']), TypeError, "fingerprint 'fp', got 'a'"),
    (lambda project: ANY_CLIENT(5), ValueError, 'got int'),
    (lambda project: ANY_CLIENT((KEY,)), ValueError, 'got a tuple of 1'),
    (lambda project: project.jobs.run(None, units=1), ValueError, 'Please provide `spider` name'),
]


@pytest.mark.parametrize(('act', 'kind', 'told'), WRONG_ARGUMENTS)
def test_a_wrong_argument_is_told_before_anything_is_sent(
    act: Callable[[Any], object], kind: type[Exception], told: str
) -> None:
    with Wire({}) as wire, wire.client() as client:
        with pytest.raises(kind) as caught:
            act(client.get_project(1))
        assert wire.asked == []
    text = shown(caught.value)
    assert told in text
    assert KEY not in text


def test_arguments_of_a_spider_are_never_taken_for_misspelt() -> None:
    answers = {'/api/run.json': json_reply('{"status": "ok", "jobid": "1/1/1"}')}
    with Wire(answers) as wire, wire.client() as client:
        client.get_project(1).jobs.run('news', cuont=3, stat='x')
        assert wire.bodies == ['project=1&spider=news&cuont=3&stat=x']
