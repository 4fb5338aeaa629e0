"""Lines and tables out of any bytes: every record is found once, with its number, in bounded memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.events.mapping import FieldMapping, Kinds
from consumer.files.entries import Entry
from consumer.files.formats import JsonLines, PlainText, guess_format
from consumer.files.inputs import open_input
from consumer.files.lines import Lines, UnreadableInput
from consumer.files.tables import CommaSeparated


def reading(data: bytes, sizes: Sequence[int] = ()) -> Callable[[int], bytes]:
    """A stream that gives as much at a time as ``sizes`` says."""
    stream = io.BytesIO(data)
    pieces = iter(sizes)
    return lambda size: stream.read(min(size, next(pieces, size)))


def lines(data: bytes, limit: int = 100, sizes: Sequence[int] = ()) -> list[tuple[int, bytes | None]]:
    return [(line.number, line.content) for chunk in Lines(reading(data, sizes), limit).chunks() for line in chunk]


PLAIN = FieldMapping()


def table(data: bytes, limit: int = 1000, sizes: Sequence[int] = (), mapping: FieldMapping = PLAIN) -> list[Entry]:
    reader = CommaSeparated(reading(data, sizes), limit, None, mapping)
    return [entry for chunk in reader.chunks() for entry in chunk]


def errors(entries: Sequence[Entry]) -> list[tuple[int, str]]:
    return [(entry.number, entry.failure.type) for entry in entries if entry.failure is not None]


class TestLines:
    @given(st.binary(max_size=400), st.integers(0, 50), st.lists(st.integers(1, 20), max_size=80))
    def test_however_a_stream_is_cut_its_lines_are_the_same(self, data: bytes, limit: int, sizes: list[int]):
        data = b"." + data  # no byte order mark
        split = data.split(b"\n")
        expected = [line.removesuffix(b"\r") for line in (split if split[-1] else split[:-1])]
        assert lines(data, limit, sizes) == [
            (number, line if len(line) <= limit else None) for number, line in enumerate(expected, start=1)
        ]

    @pytest.mark.parametrize("sizes", [[], [1, 1, 1, 1]])
    def test_a_byte_order_mark_is_no_part_of_the_first_line(self, sizes: list[int]):
        assert lines(b"\xef\xbb\xbfa\r\nb", sizes=sizes) == [(1, b"a"), (2, b"b")]

    def test_utf_16_is_refused_with_advice(self):
        with pytest.raises(UnreadableInput, match="iconv"):
            lines("a\n".encode("utf-16"))

    def test_nothing_at_all_is_no_line(self):
        assert lines(b"") == []
        assert lines(b"\xef\xbb\xbf") == []

    def test_a_huge_line_is_passed_over_and_never_kept(self):
        block, left = b"x" * 65536, 2000

        def read(size: int) -> bytes:
            nonlocal left
            left -= 1
            return block if left > 0 else b"\nshort" if left == 0 else b""

        import tracemalloc

        tracemalloc.start()
        found = [(line.number, line.content) for chunk in Lines(read, 1000).chunks() for line in chunk]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found == [(1, None), (2, b"short")]
        assert peak < 2_000_000


class TestFormats:
    @pytest.mark.parametrize(
        ("name", "beginning", "form"),
        [
            ("a.CSV", b"", "csv"),
            ("a.ndjson", b"", "jsonl"),
            ("a.txt", b"{", "text"),
            ("a.parquet", b"", "parquet"),
            ("a", b"PAR1", "parquet"),
            ("a", b'\xef\xbb\xbf {"id"', "jsonl"),
            ("stdin", b"", "jsonl"),
        ],
    )
    def test_the_name_tells_else_the_first_bytes(self, name: str, beginning: bytes, form: str):
        assert guess_format(name, beginning) == form

    def test_what_cannot_be_told_must_be_said(self):
        with pytest.raises(UnreadableInput, match="--input-format"):
            guess_format("comments", b"hello")

    def test_json_lines_pass_over_blank_lines_but_count_them(self):
        chunks = JsonLines(reading(b'{"a":1}\n \r\n\n{"b":2}'), 100, None).chunks()
        found = [(entry.number, entry.value) for chunk in chunks for entry in chunk]
        assert found == [
            (1, b'{"a":1}'),
            (4, b'{"b":2}'),
        ]

    def test_plain_text_is_a_comment_a_line_with_the_number_for_an_id(self):
        reader = PlainText(reading(b"GG\n\n\xff\nnul\x00"), 100, None)
        (first, second) = reader.chunks()
        assert [json.loads(entry.value) for entry in [*first[:2], *second]] == [
            {"id": "1", "text": "GG"},
            {"id": "2", "text": ""},
            {"id": "4", "text": "nul\x00"},
        ]
        assert errors(first) == [(3, "not_utf8")]


class TestCsv:
    @given(
        st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), max_size=20)] * 2), max_size=20),
        st.lists(st.integers(1, 30), max_size=50),
    )
    def test_what_the_csv_module_writes_is_read_back(self, rows: list[tuple[str, str]], sizes: list[int]):
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(["author", "text"])
        writer.writerows(rows)
        found = table(written.getvalue().encode(), 10_000, sizes)
        assert errors(found) == []

        def as_read(text: str) -> str:
            return text.replace("\r\n", "\n")

        expected = [{"text": as_read(text)} | ({"author": as_read(who)} if who else {}) for who, text in rows]
        assert [json.loads(entry.value) for entry in found] == expected

    def test_a_record_has_the_number_of_its_first_line(self):
        found = table(b'text\n"a\nb"\nc\n\nd\n')
        assert [(entry.number, json.loads(entry.value)["text"]) for entry in found] == [(2, "a\nb"), (4, "c"), (6, "d")]

    def test_a_spoiled_record_is_told_and_the_next_is_read(self):
        data = b'id,text\n1,"a"b\n2,ok\n3,\xff\n4,ok\n5\n6,' + b"x" * 2000 + b"\n7,ok\n"
        found = table(data)
        assert errors(found) == [
            (2, "invalid_csv"), (4, "not_utf8"), (6, "invalid_csv"), (7, "too_large"),
        ]  # fmt: skip
        assert [json.loads(entry.value)["id"] for entry in found if entry.failure is None] == ["2", "4", "7"]

    def test_a_quote_that_never_ends_costs_a_bounded_number_of_lines(self):
        data = b'text\n"open\n' + b"line\n" * 1000
        found = table(data, limit=500)
        assert errors(found) == [(2, "too_large")]
        assert len(found) > 800

    @pytest.mark.parametrize(
        ("header", "said"),
        [(b"id,body\n", "no column 'text' for the text; there are: id, body"), (b"text,text\n", "same name")],
    )
    def test_a_header_that_does_not_fit_is_refused(self, header: bytes, said: str):
        with pytest.raises(UnreadableInput, match=said):
            table(header + b"1,2\n")


class TestMappedColumns:
    MAPPING = FieldMapping(id="n", text=("m.text", "m.gift"), author="header:who", kinds=Kinds("t", ("said",)))

    def test_a_column_is_named_by_a_path_and_goes_where_it_says(self):
        data = b"m.gift,m.text,who,n,t,other\nthanks,,fan,1,said,x\n,hi,fan,2,said,x\n,,fan,3,said,x\n"
        assert [json.loads(entry.value) for entry in table(data, mapping=self.MAPPING)] == [
            {"n": "1", "m": {"gift": "thanks"}, "t": "said"},
            {"n": "2", "m": {"text": "hi"}, "t": "said"},
            {"n": "3", "m": {"text": ""}, "t": "said"},
        ]

    @pytest.mark.parametrize(
        ("header", "said"),
        [
            (b"n,text,t\n", "no column 'm.text' or 'm.gift' for the text; there are: n, text, t"),
            (b"n,m.text\n", "no column 't', by which events.mapping tells comments; there are: n, m.text"),
        ],
    )
    def test_a_table_that_lacks_what_every_row_needs_is_refused(self, header: bytes, said: str):
        with pytest.raises(UnreadableInput, match=said):
            table(header + b"1,2\n", mapping=self.MAPPING)


class TestOpening:
    def test_without_pyarrow_parquet_says_what_to_install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        file = tmp_path / "a.parquet"
        file.write_bytes(b"PAR1")
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
        with pytest.raises(UnreadableInput, match=r"pip install 'comment-consumer\[parquet\]'"):
            open_input(str(file), None, 1000, FieldMapping())

    def test_a_damaged_parquet_file_is_told(self, tmp_path: Path):
        pytest.importorskip("pyarrow")
        file = tmp_path / "a.parquet"
        file.write_bytes(b"PAR1 nonsense PAR1")
        with pytest.raises(UnreadableInput, match=r"a\.parquet: it is no Parquet file"):
            open_input(str(file), None, 1000, FieldMapping())
