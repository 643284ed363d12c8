from __future__ import annotations

from support.caller import START, Caller, Clock


def test_events_come_newest_first(caller: Caller, clock: Clock) -> None:
    answer = caller.post('activity/1', {'n': 1}, {'n': 2, 'text': 'é'})
    assert (answer.content, answer.headers['Content-Type']) == (b'', 'text/plain; charset=UTF-8')
    clock.now += 5
    caller.post('activity/1', {'n': 3})
    assert caller.read('activity/1') == [{'n': 3}, {'n': 2, 'text': 'é'}, {'n': 1}]
    assert [event['_ts'] for event in caller.read('activity/1', meta='_ts')] == [START + 5, START, START]
    assert caller.read('activity/1', count=1) == [{'n': 3}]
    assert caller.read('activity/1', offset=1, count=1) == [{'n': 2, 'text': 'é'}]
    assert caller.read('activity/1', startts=START + 1) == [{'n': 3}]
    assert caller.get('activity/1').content == b'{"n":3}\n{"n":2,"text":"\xc3\xa9"}\n{"n":1}\n'
    assert caller.get('activity/1').headers['Content-Encoding'] == 'gzip'
    assert caller.read('activity/2') == []


def test_filters_apply_before_the_count(caller: Caller) -> None:
    caller.post('activity/1', *({'c': number} for number in range(10)))
    assert caller.read('activity/1', filter='["c", ">", [5]]', count=2) == [{'c': 9}, {'c': 8}]


def test_a_long_history_is_returned_whole(caller: Caller) -> None:
    caller.post('activity/1', *({'c': number} for number in range(5000)))
    assert caller.read('activity/1') == [{'c': number} for number in reversed(range(5000))]


def test_several_projects_are_read_together(caller: Caller) -> None:
    for number in range(6):
        caller.post(f'activity/{number % 2 + 1}', {'n': number})
    path = 'activity/projects'
    assert caller.read(path, p=1) == [{'n': 4}, {'n': 2}, {'n': 0}]
    assert caller.read(path, p=[1, 2], meta='_project') == [
        {'n': number, '_project': number % 2 + 1} for number in reversed(range(6))
    ]
    assert caller.read(path, p=[1, 2], count=3) == [{'n': 5}, {'n': 4}, {'n': 3}]
    assert caller.read(path, p=[1, 2], pcount=1) == [{'n': 5}, {'n': 4}]
    assert caller.read(path, p=[1, 2], pcount=2, count=3) == [{'n': 5}, {'n': 4}, {'n': 3}]
    assert caller.read(path, p=[1, 2], pcount=1, filter='["n", "<", [4]]') == [{'n': 3}, {'n': 2}]
    assert caller.read(path, p=[1, 2], pcount=0) == []
    assert caller.get(path).status_code == 400
    assert caller.get(path, params={'p': 'x'}).status_code == 400
    assert caller.get(path, params={'p': [1, 3]}).status_code == 403


def test_the_platform_writes_events_by_itself(caller: Caller) -> None:
    key = caller.push()
    caller.post('jobq/1/update', {'key': key, 'state': 'finished'})
    event = {'job': key, 'user': 'admin'}
    assert caller.read('activity/1') == [{'event': 'job:completed', **event}, {'event': 'job:scheduled', **event}]


def test_refused_posts_change_nothing(caller: Caller) -> None:
    for bad in ('[]', '5', '{"a": ', '{"a": "\\ud800"}'):
        assert caller.call('POST', 'activity/1', f'{{"n": 1}}\n{bad}').status_code == 400
    assert caller.read('activity/1') == []
