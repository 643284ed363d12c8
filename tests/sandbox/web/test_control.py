"""Faults, log, clock and reset over HTTP."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from scrapinghub.sandbox import At, Fault, Sandbox
from support.caller import START, Caller, RawConnection, call_raw


@pytest.fixture
def control(cloud: Sandbox) -> Iterator[Caller]:
    """A caller without credentials."""
    with Caller(f'{cloud.url}_sandbox/', None) as caller:
        yield caller


def add(control: Caller, **rule: Any) -> dict[str, Any]:
    answer = control.call('POST', 'faults', json=rule)
    assert answer.status_code == 201, answer.text
    result: dict[str, Any] = answer.json()
    return result


def test_a_fault_is_added_met_and_listed(control: Caller, caller: Caller) -> None:
    given = {'method': 'GET', 'path': '/system/*', 'times': 2, 'skip': 1, 'status': 503, 'query': {'a': '*', 'b': None}}
    rule = add(control, **given)
    assert rule == {'id': 1, **given, 'spent': False, 'held': False, 'met': []}

    targets = ('?a=1', '?a=1&apikey=secret', '?a=1&b=1', '', '?a=2', '?a=3')
    assert [caller.get(f'system/ts{query}').status_code for query in targets] == [200, 503, 200, 200, 503, 200]

    met = [
        {
            'fault': 'status 503',
            'method': 'GET',
            'path': '/system/ts',
            'query': query,
            'happened': True,
        }
        for query in ([['a', '1'], ['apikey', '***']], [['a', '2']])
    ]
    assert control.get('faults').json() == {'rules': [{**rule, 'spent': True, 'met': met}], 'met': met}
    assert control.get('faults/1').json()['met'] == met


def test_every_effect_has_a_json_form(control: Caller, cloud: Sandbox) -> None:
    add(
        control,
        path_regex='/system/t.',
        status=418,
        body_base64=base64.b64encode(b'\xffline\nline two\n').decode(),
        headers={'Content-Type': 'application/x-jsonlines', 'Date': None},
        cut={'record': 1, 'plus': 3},
        framing='chunked',
        chunk=4,
        ending='reset',
        name='mine',
    )
    answer = call_raw(cloud, 'GET', '/system/ts')
    assert answer.status == 418
    assert answer.reset
    assert b''.join(answer.chunks) == b'\xffline\nlin'
    assert cloud.faults.met[0].label == 'mine'


def test_rules_made_in_python_are_told_too(control: Caller, cloud: Sandbox) -> None:
    class Nothing:
        def draw(self, method: str, path: str) -> Fault | None:
            return None

    cloud.faults.add(path=re.compile('/x.*'), cut=At(record=3, plus=5))
    cloud.faults.add(Nothing())
    first, second = control.get('faults').json()['rules']
    assert (first['path_regex'], first['cut']) == ('/x.*', {'record': 3, 'plus': 5})
    assert 'Nothing' in second['source']


def test_a_held_request_is_waited_for_and_released(control: Caller, cloud: Sandbox) -> None:
    number = add(control, stall={'text': 3})['id']
    with RawConnection(cloud) as client:
        client.send('GET', '/system/ts')
        assert control.get(f'faults/{number}?held=1').json()['held'] is True
        assert control.call('POST', f'faults/{number}/release').json()['held'] is False
        assert client.read_head().startswith(b'HTTP/1.1 200 ')
        assert int(client.read(13)) == START


def test_modes_are_set_over_http(cloud: Sandbox, control: Caller) -> None:
    assert control.get('modes').json() == {'ignore_filters': False, 'shuffle_fields': False}
    answer = control.call('POST', 'modes', '{"ignore_filters": true}')
    assert answer.json() == {'ignore_filters': True, 'shuffle_fields': False}
    assert (cloud.ignore_filters, cloud.shuffle_fields) == (True, False)
    for wrong in ('{"ignore_filters": 1}', '{"shuffle_fields": true, "other": true}', '[]', '{"__class__": true}'):
        answer = control.call('POST', 'modes', wrong)
        assert answer.status_code == 400, answer.text
    assert (cloud.ignore_filters, cloud.shuffle_fields) == (True, False)


def test_waiting_ends_when_nothing_happens(control: Caller) -> None:
    number = add(control, status=503)['id']
    answer = control.get(f'faults/{number}?met=1&timeout=0.01')
    assert (answer.status_code, 'applied 0 times' in answer.json()['error']) == (408, True)
    assert control.get(f'faults/{number}?held=1&timeout=0.01').status_code == 408
    assert control.get(f'faults/{number}?met=x').status_code == 400


def test_waiting_ends_when_it_happens(control: Caller, cloud: Sandbox) -> None:
    number = add(control, status=503)['id']
    thread = threading.Thread(target=call_raw, args=(cloud, 'GET', '/system/ts'))
    thread.start()
    assert control.get(f'faults/{number}?met=1').json()['spent'] is True
    thread.join()


def test_faults_are_removed(control: Caller, caller: Caller) -> None:
    numbers = [add(control, status=500 + number, times=None)['id'] for number in range(3)]
    assert caller.get('system/ts').status_code == 500
    assert control.call('DELETE', f'faults/{numbers[0]}').status_code == 200
    assert control.call('DELETE', f'faults/{numbers[0]}').json() == {'error': f'there is no rule {numbers[0]}'}
    assert caller.get('system/ts').status_code == 501
    control.call('DELETE', 'faults')
    assert caller.get('system/ts').status_code == 200
    assert control.get('faults').json() == {'rules': [], 'met': []}


def test_a_schedule_is_added(control: Caller, caller: Caller) -> None:
    def statuses() -> list[int]:
        control.call('DELETE', 'faults')
        rule = add(control, schedule={'seed': 5, 'kinds': ['unavailable', 'bad-gateway']})
        assert rule['times'] is None
        assert rule['schedule'] == {'seed': 5, 'kinds': ['unavailable', 'bad-gateway'], 'rate': 0.5, 'in_a_row': 3}
        return [caller.get('system/ts').status_code for _ in range(20)]

    first = statuses()
    assert set(first) == {200, 502, 503}
    assert first == statuses()


@pytest.mark.parametrize(
    ('body', 'words'),
    [
        (b'{', 'the body must be a JSON object'),
        (b'[]', 'the body must be a JSON object'),
        (b'{}', 'the fault has no effect'),
        (b'{"stauts": 500}', 'unknown in a fault: stauts'),
        (b'{"status": "500"}', 'status must be from 200 to 599'),
        (b'{"status": 500, "times": "2"}', 'times must be an integer'),
        (b'{"status": 500, "skip": null}', 'skip must be an integer'),
        (b'{"status": 500, "method": 1}', 'method must be a string'),
        (b'{"status": 500, "path": "/", "path_regex": "/"}', 'give either path or path_regex'),
        (b'{"status": 500, "path_regex": "("}', 'path_regex is no regular expression'),
        (b'{"status": 500, "query": {"a": 1}}', 'query must map'),
        (b'{"body_base64": "!"}', 'base64'),
        (b'{"body": 1}', 'body must be a string'),
        (b'{"cut": {"after": 1}}', 'cut must be a number, {"record": K, "plus": B}'),
        (b'{"status": 500, "headers": []}', 'headers must be an object'),
        (b'{"ignore": "start"}', 'ignore must be an array'),
        (b'{"schedule": {"seed": 1}, "cut": 1}', 'schedule must be an object'),
        (b'{"schedule": {"seed": 1, "kinds": ["cutt"]}}', 'kinds must be some of'),
        (b'{"schedule": {"rate": "1"}}', 'rate must be a number'),
        (b'{"schedule": {"kinds": 1}}', 'kinds must be an array'),
    ],
)
def test_a_wrong_fault_is_refused(control: Caller, cloud: Sandbox, body: bytes, words: str) -> None:
    answer = control.call('POST', 'faults', body)
    assert answer.status_code == 400
    assert words in answer.json()['error'] or re.search(words, answer.json()['error'], re.IGNORECASE)
    assert cloud.faults.rules == []


def test_the_sandbox_is_reset(control: Caller, caller: Caller, cloud: Sandbox) -> None:
    caller.push()
    add(control, status=503)
    assert control.call('POST', 'reset').status_code == 200
    assert caller.get('jobq/1/count?state=pending').text == '0'
    assert cloud.faults.rules == []


def test_the_log_shows_requests_without_credentials(control: Caller, caller: Caller, cloud: Sandbox) -> None:
    caller.call('POST', 'activity/1?x=%C3%A4&x=2', b'{"a": 1}\n', headers={'X-Own': 'v', 'Cookie': 'a=b'})
    caller.get(f'system/ts?apikey={cloud.apikey}')
    cloud.requests.wait(2)

    log = control.get('log').json()

    post, get = log['requests']
    assert log['dropped'] == 0
    assert (post['method'], post['path'], post['query']) == ('POST', '/activity/1', [['x', 'ä'], ['x', '2']])
    assert (post['status'], post['bytes'], post['body_bytes'], post['complete']) == (200, 0, 9, True)
    headers = post['headers']
    assert (headers['X-Own'], headers['Authorization'], headers['Cookie']) == ('v', '***', '***')
    assert (post['time'], get['query'], get['bytes']) == (START, [['apikey', '***']], 13)
    assert cloud.apikey not in str(log)
    assert base64.b64encode(f'{cloud.apikey}:'.encode()).decode() not in str(log)
    assert cloud.requests[0].body == b'{"a": 1}\n'
    assert [entry.path for entry in cloud.requests.matching('get')] == ['/system/ts']
    assert [entry.path for entry in cloud.requests.matching(path='/activity/')] == ['/activity/1']

    control.call('DELETE', 'log')
    assert control.get('log').json() == {'dropped': 0, 'requests': []}


def test_the_log_keeps_the_latest(cloud: Sandbox, caller: Caller) -> None:
    big = b'{"a": "' + b'x' * (1 << 20) + b'"}\n'
    for _ in range(34):
        caller.call('POST', 'system/ts', big)
    entries = cloud.requests.wait(34)
    assert len(entries) + cloud.requests.dropped == 34
    assert sum(len(entry.body) for entry in entries) <= 32 << 20
    with pytest.raises(TimeoutError, match='not 35'):
        cloud.requests.wait(35, timeout=0.01)


def test_the_clock_is_set(control: Caller, caller: Caller) -> None:
    assert control.get('clock').json() == {'now': START, 'frozen': False}
    assert control.call('POST', 'clock', json={'advance': 1000}).json() == {'now': START + 1000, 'frozen': False}
    assert control.call('POST', 'clock', json={'set': 5, 'frozen': True}).json() == {'now': 5, 'frozen': True}
    assert caller.get('system/ts').text == '5'
    assert control.call('POST', 'clock', json={'frozen': False}).json() == {'now': 5, 'frozen': False}
    assert control.call('POST', 'clock', json={'reset': True}).json() == {'now': START, 'frozen': False}


@pytest.mark.parametrize('body', [{}, {'now': 1}, {'set': '1'}, {'set': -1}, {'advance': 10**18}, {'frozen': 1}])
def test_a_wrong_time_is_refused(control: Caller, body: dict[str, Any]) -> None:
    assert control.call('POST', 'clock', json=body).status_code == 400
    assert control.get('clock').json() == {'now': START, 'frozen': False}


@pytest.mark.parametrize(
    'headers', [{'Host': 'evil.example'}, {'Origin': 'https://evil.example'}, {'Origin': 'null'}, {'Host': ''}]
)
def test_pages_of_others_cannot_control_the_sandbox(control: Caller, cloud: Sandbox, headers: dict[str, str]) -> None:
    answer = control.call('POST', 'faults', json={'status': 500}, headers=headers)
    assert answer.status_code == 403
    assert cloud.faults.rules == []


@pytest.mark.parametrize('origin', ['http://127.0.0.1:8080', 'http://localhost'])
def test_pages_of_this_machine_may(control: Caller, origin: str) -> None:
    assert control.call('GET', 'faults', headers={'Origin': origin}).status_code == 200


def test_faults_and_the_log_leave_the_control_interface_alone(control: Caller, cloud: Sandbox) -> None:
    cloud.faults.add(status=503, times=None)
    assert control.get('faults').status_code == 200
    assert control.get('unknown').status_code == 501
    assert control.call('PUT', 'faults').status_code == 405
    assert (len(cloud.requests), cloud.faults.met) == (0, [])


def test_a_client_of_the_service_needs_its_credentials_still(cloud: Sandbox) -> None:
    assert requests.get(f'{cloud.url}jobq/1/count', timeout=10).status_code == 401
