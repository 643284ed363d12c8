"""Which requests a fault applies to, and how often."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
import requests

from scrapinghub.sandbox import Sandbox
from scrapinghub.sandbox.faults.definition import Fault
from support.caller import TIMEOUT, Caller, call_raw


@pytest.fixture
def items(caller: Caller) -> str:
    """The path of the items of a job."""
    key = caller.push(state='running')
    caller.post(f'items/{key}', {'id': 0})
    return f'/items/{key}'


def test_the_next_requests_that_match_are_answered_a_status(cloud: Sandbox, caller: Caller, items: str) -> None:
    cloud.faults.add(method='GET', path='/items/*', times=2, status=429, body='later', headers={'Retry-After': '3'})

    answers = [caller.get(path) for path in (items[1:], 'system/ts', items[1:], items[1:])]

    assert [answer.status_code for answer in answers] == [429, 200, 429, 200]
    assert answers[0].text == 'later'
    assert answers[0].headers['Retry-After'] == '3'
    assert [(met.method, met.path, met.label, met.happened) for met in cloud.faults.met] == [
        ('GET', items, 'status 429, body, headers', True)
    ] * 2


def test_rules_are_asked_in_order_and_pass_on_what_they_skip(cloud: Sandbox, caller: Caller) -> None:
    cloud.faults.add(status=500, skip=1)
    cloud.faults.add(status=501, times=2)
    cloud.faults.add(status=502, times=None)
    assert [caller.get('system/ts').status_code for _ in range(5)] == [501, 500, 501, 502, 502]
    cloud.faults.clear()
    assert caller.get('system/ts').status_code == 200
    assert cloud.faults.met == []


@pytest.mark.parametrize(
    ('rule', 'struck'),
    [
        ({'path': '/items/*'}, [True, True, True, False]),
        ({'path': re.compile(r'/items/1/1/\d+')}, [True, True, True, False]),
        ({'path': '/items/1/1'}, [False, False, False, False]),
        ({'query': {'startafter': '*'}}, [False, True, False, False]),
        ({'query': {'startafter': '1/1/1/*', 'count': '5'}}, [False, True, False, False]),
        ({'query': {'startafter': None}}, [True, False, True, True]),
        ({'method': 'post'}, [False, False, False, True]),
        ({'when': lambda request: request.headers.get('Accept') == 'text/csv'}, [False, False, True, False]),
    ],
)
def test_what_matches(cloud: Sandbox, caller: Caller, items: str, rule: dict[str, Any], struck: list[bool]) -> None:
    cloud.faults.add(status=418, times=None, **rule)
    statuses = [
        caller.get(items[1:]).status_code,
        caller.get(f'{items[1:]}?startafter=1/1/1/3&count=5').status_code,
        caller.get(f'{items[1:]}?fields=id', headers={'Accept': 'text/csv'}).status_code,
        caller.call('POST', 'activity/1', b'{}').status_code,
    ]
    assert [status == 418 for status in statuses] == struck


def test_faults_are_counted_once_by_many_threads(cloud: Sandbox) -> None:
    rule = cloud.faults.add(status=503, times=25)
    statuses: list[int] = []

    def work() -> None:
        with requests.Session() as session:
            session.trust_env = False
            statuses.extend(session.get(f'{cloud.url}system/ts', timeout=TIMEOUT).status_code for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert (statuses.count(503), statuses.count(200)) == (25, 55)
    assert len(rule.met) == len(cloud.faults.met) == 25
    assert rule.spent


def test_waiting_for_a_fault_that_does_not_come_ends(cloud: Sandbox) -> None:
    rule = cloud.faults.add(status=503)
    with pytest.raises(TimeoutError, match=f'rule {rule.number} was applied 0 times'):
        rule.wait_met(timeout=0.01)
    with pytest.raises(TimeoutError, match=f'rule {rule.number}'):
        rule.wait_held(timeout=0.01)
    call_raw(cloud, 'GET', '/system/ts')
    rule.wait_met()


def test_a_rule_is_removed(cloud: Sandbox) -> None:
    rule = cloud.faults.add(status=503)
    cloud.faults.remove(rule)
    cloud.faults.remove(rule)
    assert cloud.faults.rules == []
    assert call_raw(cloud, 'GET', '/system/ts').status == 200


def test_a_reset_forgets_faults_requests_and_time(cloud: Sandbox, caller: Caller) -> None:
    cloud.faults.add(status=503, times=None)
    caller.get('system/ts')
    cloud.clock.freeze(1)
    cloud.reset()
    assert (cloud.faults.rules, cloud.faults.met, len(cloud.requests)) == ([], [], 0)
    assert int(caller.get('system/ts').text) > 1


def test_a_fault_and_effects_are_refused(cloud: Sandbox) -> None:
    with pytest.raises(TypeError, match='not both: status'):
        cloud.faults.add(Fault(cut=1), status=500)
    with pytest.raises(TypeError, match='stauts'):
        cloud.faults.add(stauts=500)
