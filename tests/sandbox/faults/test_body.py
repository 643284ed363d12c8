"""Where records end, and how damaged bodies are transferred."""

from __future__ import annotations

import json
import zlib
from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from scrapinghub.sandbox.faults.body import damage, frame, record_ends
from scrapinghub.sandbox.faults.definition import At, Fault
from support.caller import Answer

bodies = st.lists(st.text(max_size=8).filter(lambda text: '\n' not in text).map(json.dumps), max_size=6)


@given(bodies, st.booleans(), st.integers(0, 7), st.integers(0, 12), st.booleans())
def test_a_place_in_a_record_is_where_it_says(
    records: list[str], final: bool, number: int, plus: int, gzipped: bool
) -> None:
    body = '\n'.join(records).encode() + (b'\n' if final and records else b'')
    cut = damage(body, 'application/x-jsonlines', Fault(cut=At(record=number, plus=plus)), gzipped=gzipped)
    assert cut.cut is not None
    text = zlib.decompressobj(31).decompress(cut.data[: cut.cut]) if gzipped else cut.data[: cut.cut]
    if number >= len(records):
        assert text == body
        return
    before = ''.join(f'{record}\n' for record in records[:number]).encode()
    inside = text.removeprefix(before)
    record = records[number].encode()
    assert text.startswith(before)
    assert inside == record[: min(plus, len(record) - 1)]


@given(st.lists(st.one_of(st.integers(0, 100), st.text(max_size=5), st.lists(st.none())), max_size=6))
def test_ends_of_packed_records(values: list[Any]) -> None:
    parts = [msgpack.packb(value) for value in values]
    ends = record_ends(b''.join(parts), 'application/x-msgpack; charset=UTF-8')
    assert ends == [sum(map(len, parts[: number + 1])) for number in range(len(parts))]


@given(st.binary(max_size=40), st.integers(1, 10), st.sets(st.integers(0, 50)))
def test_chunks_hold_the_whole_body_and_stop_where_asked(body: bytes, chunk: int, stops: set[int]) -> None:
    pieces = list(frame(body, 'chunked', chunk, stops))
    places = [place for place, _ in pieces]
    assert {stop for stop in stops if 0 < stop < len(body)} <= set(places)
    assert b''.join(Answer(b'', b''.join(piece for _, piece in pieces), False).chunks) == body
    assert b''.join(piece for _, piece in frame(body, 'length', chunk, stops)) == body
