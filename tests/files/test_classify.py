"""``comment-consumer classify`` as a user meets it: the real program on the bundled model."""

from __future__ import annotations

import csv
import gzip
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog

from consumer.commands.classify import classify as classify_here
from schemas.labeled import LabeledEvent
from tests.files.run_classify import ROOT, SETTINGS, Done, SmallBatches, classify, command, environment
from tests.support.data import validation_texts

MIXED = [
    b'{"id": "a", "text": "\xe5\x8a\xa0\xe6\xb2\xb9"}',
    b'{"id": "b", "text": "", "channel": "tvl"}',
    b"",
    b"not json: SECRET",
    b'{"text": "no id here"}',
    b'{"id": "c", "text": 7}',
    b'{"id": "d", "text": "nul \\u0000 byte", "author": "fan"}\r',
    b'{"id": "e", "text": "\x00"}',
    b'{"id": "f", "text": "' + b"x" * 300_000 + b'"}',
    b"\xff\xfe\xfa",
    b"[1]",
    b'{"id": "g", "text": "GG"}',
]


@pytest.fixture
def here(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Done]]:
    """The command in this process, which has torch in memory already; signals and logging are put back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    root = logging.getLogger()
    logs = (root.handlers[:], root.level, structlog.get_config())
    monkeypatch.chdir(ROOT)

    def run(*arguments: object) -> Done:
        code = classify_here([*map(str, arguments), *SETTINGS])
        return Done(code, *capfdbinary.readouterr())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    root.handlers[:], level, config = logs
    root.setLevel(level)
    structlog.configure(**config)


def events(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in data.splitlines()]


def test_every_line_is_labeled_skipped_or_reported_by_its_number(tmp_path: Path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(b"\xef\xbb\xbf" + b"\n".join(MIXED))
    done = classify(source, "--out", out)
    assert done.returncode == 1, done.stderr
    found = {event["line"]: event for event in events(out.read_bytes())}
    assert {line: event["status"] for line, event in found.items()} == {
        1: "labeled", 2: "skipped", 5: "labeled", 7: "labeled", 12: "labeled",
    }  # fmt: skip
    assert [found[line]["comment_id"] for line in (1, 5, 7)] == ["a", "5", "d"]
    assert (found[2]["channel"], found[7]["author"], found[1]["event_id"]) == ("tvl", "fan", "in.jsonl/1")
    report = (tmp_path / "out.jsonl.rejected.jsonl").read_bytes()
    assert {(each["line"], each["error"]) for each in events(report)} == {
        (4, "invalid_json"), (6, "invalid_field"), (8, "invalid_json"), (9, "too_large"), (10, "invalid_json"),
        (11, "not_an_object"),
    }  # fmt: skip
    assert b"SECRET" not in report + done.stderr
    assert b"11 comments" in done.stderr
    assert b"6 rejected" in done.stderr


def test_an_event_is_the_consumers_own_less_what_only_a_stream_has():
    done = classify(given=b'{"id": "x", "text": "GG"}\n')
    assert done.returncode == 0, done.stderr
    (event,) = events(done.stdout)
    streams = {"source": {"topic": "t", "partition": 0, "offset": 0}, "classified_at": "2026-01-01T00:00:00Z"}
    LabeledEvent.model_validate({**event, **streams, "latency_ms": 0.0})
    assert set(streams) & set(event) == set()
    assert [each["label"] for each in event["labels"]] == ["Cheer", "Game", "Broadcast", "Chat"]


def test_csv_in_and_csv_out(here: Callable[..., Done], tmp_path: Path):
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(b'\xef\xbb\xbfwho,what,id\r\nfan,"two\r\nlines, one comma",1\r\nfan,GG,2\r\nfan,short\r\n')
    done = here(
        source, "--out", out, "--events.fields", '{"text": "what", "author": "who"}', "--events.include-text", "true"
    )
    assert done.returncode == 1, done.stderr
    rows = list(csv.DictReader(out.open(encoding="utf-8", newline="")))
    assert [(row["comment_id"], row["line"], row["author"]) for row in rows] == [("1", "2", "fan"), ("2", "4", "fan")]
    assert rows[0]["text"] == "two\nlines, one comma"
    assert 0 <= float(rows[0]["Cheer.score"]) <= 1
    assert rows[0]["Cheer.flagged"] in ("true", "false")
    (rejected,) = events((tmp_path / "out.csv.rejected.jsonl").read_bytes())
    assert (rejected["line"], rejected["error"]) == (5, "invalid_csv")


def test_parquet_in(here: Callable[..., Done], tmp_path: Path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    source = tmp_path / "in.parquet"
    table = pa.table({"id": [7, 8, None], "text": ["GG", None, "加油"], "other": [b"\xff", None, b""]})
    pyarrow.parquet.write_table(table, source)
    done = here(source)
    assert done.returncode == 1, done.stderr
    assert [(event["line"], event["comment_id"]) for event in events(done.stdout)] == [(1, "7"), (3, "3")]
    assert b"line 2: missing_field: text: nothing at text" in done.stderr


def test_an_export_of_somebody_elses_json_is_labeled_by_its_mapping(here: Callable[..., Done], tmp_path: Path):
    samples = json.loads((ROOT / "tests" / "events" / "samples" / "youtube-live-chat.json").read_bytes())
    source, out = tmp_path / "chat.jsonl", tmp_path / "out.jsonl"
    source.write_text(
        "\n".join(
            json.dumps(each)
            for each in (*samples.values(), {"id": "1", "text": "ours"}, {"snippet": {"type": "pollEvent"}})
        )
    )
    done = here(source, "--out", out, "--events.mapping", "youtube-live-chat", "--events.include-text", "true")
    assert done.returncode == 1, done.stderr
    found = events(out.read_bytes())
    assert len(found) == len(samples) + 1
    assert found[-1]["comment_id"] == found[-1]["event_id"] == f"chat.jsonl/{len(samples) + 2}"  # it has no id
    texts = {event["text"] for event in found if event["status"] == "labeled"}
    assert {"台灣加油！🔥", "第三局拿下！", "一週年了"} <= texts
    assert {event.get("skip_reason") for event in found} == {None, "deleted", "other_kind"}
    (rejected,) = events((tmp_path / "out.jsonl.rejected.jsonl").read_bytes())
    assert (rejected["line"], rejected["error"]) == (len(samples) + 1, "missing_field")


def test_plain_text_is_text_whatever_is_mapped(here: Callable[..., Done], tmp_path: Path):
    (tmp_path / "lines.txt").write_text("加油\nGG\n")
    done = here(tmp_path / "lines.txt", "--events.mapping", "twitch-eventsub-chat")
    assert done.returncode == 0, done.stderr
    assert [event["comment_id"] for event in events(done.stdout)] == ["1", "2"]


def test_an_empty_file_gives_an_empty_file(here: Callable[..., Done], tmp_path: Path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.touch()
    assert here(source, "--out", out).returncode == 0
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["in.jsonl", "out.jsonl"]
    assert out.read_bytes() == b""


def test_a_pipe_is_answered_before_it_ends():
    with subprocess.Popen(
        command("--input-format", "text"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (1, 2):
            process.stdin.write(b"GG\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["line"] == number
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path):
    source = tmp_path / "in.txt"
    source.write_bytes(b"".join(b"comment %d\n" % number for number in range(20_000)))
    with subprocess.Popen(
        command(source), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 128 + signal.SIGPIPE


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["nothing.jsonl"], b"nothing.jsonl cannot be read: No such file"),
            (["."], b". cannot be read: Is a directory"),
            (["--kafka.group-id", "x"], b"--kafka.group-id: there is no such setting"),
            (["--bogus", "SECRET"], b"--bogus: there is no such setting"),
            (["a", "--batch.max-comments", "0"], b"batch.max_comments"),
        ],
    )
    def test_what_cannot_be_done_is_one_line_and_code_2(
        self, here: Callable[..., Done], arguments: list[str], said: bytes
    ):
        done = here(*arguments)
        assert (done.returncode, done.stdout) == (2, b"")
        assert said in done.stderr
        assert b"Traceback" not in done.stderr
        assert b"SECRET" not in done.stderr

    def test_settings_of_the_consumer_in_files_and_variables_do_no_harm(self, tmp_path: Path):
        file = tmp_path / "worker.toml"
        file.write_text('[kafka]\nbootstrap_servers = "broker:9092"\n[batch]\nmax_comments = 3\n')
        done = classify("--config", file, given=b'{"id": 1, "text": "GG"}', CONSUMER_KAFKA__GROUP_ID="g")
        assert done.returncode == 0, done.stderr

    def test_an_output_that_is_there_already_is_left_alone(self, here: Callable[..., Done], tmp_path: Path):
        source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
        source.write_text("GG\n")
        out.write_text("precious")
        done = here(source, "--out", out)
        assert done.returncode == 2
        assert b"is there already" in done.stderr
        assert out.read_text() == "precious"

    def test_a_report_is_never_written_over_something_else(self, here: Callable[..., Done], tmp_path: Path):
        source = tmp_path / "in.txt"
        source.write_text("GG\n")
        done = here(source, "--report", source)
        assert (done.returncode, source.read_text()) == (2, "GG\n")
        assert b"--report" in done.stderr

    @pytest.mark.parametrize("report", ["in.txt", "out.jsonl", "out.jsonl.progress", "precious"])
    def test_nor_when_a_run_was_begun(self, here: Callable[..., Done], tmp_path: Path, report: str):
        source, out, precious = tmp_path / "in.txt", tmp_path / "out.jsonl", tmp_path / "precious"
        source.write_text("GG\n")
        precious.write_text("dear to somebody")
        begin = here(source, "--out", out)
        assert begin.returncode == 0
        out.unlink()
        killed = subprocess.run(
            [sys.executable, "-c", _KILLED, *command(source, "--out", out)[3:]],
            cwd=ROOT,
            env=environment(),
            check=False,
        )
        assert killed.returncode == -9
        done = here(source, "--out", out, "--report", tmp_path / report)
        assert done.returncode == 2
        assert (source.read_text(), precious.read_text()) == ("GG\n", "dear to somebody")
        assert here(source, "--out", out).returncode == 0  # it goes on as it was begun

    def test_a_compressed_file_is_told_as_such(self, here: Callable[..., Done], tmp_path: Path):
        (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(b'{"id": "a", "text": "GG"}'))
        done = here(tmp_path / "in.jsonl.gz")
        assert done.returncode == 2
        assert b"zcat" in done.stderr


# Ends as by SIGKILL at the first answer of the model, which is in the journal then.
_KILLED = """
import os, signal, sys
from consumer.commands import main
from consumer.files import journal
write = journal.Journal.write
def killed(*given):
    write(*given)
    os.kill(os.getpid(), signal.SIGKILL)
journal.Journal.write = killed
main.main(sys.argv[1:])
"""


class TestOddFiles:
    def test_a_stray_quote_spoils_its_own_record_alone(self, here: Callable[..., Done], tmp_path: Path):
        rows = [f"{number},text {number}" for number in range(3000)]
        rows[5] = '5,"text 5'
        (tmp_path / "in.csv").write_text("id,text\n" + "\n".join(rows))
        done = here(tmp_path / "in.csv")
        assert done.returncode == 1
        assert [event["comment_id"] for event in events(done.stdout)] == [str(n) for n in range(3000) if n != 5]

    def test_texts_in_binary_columns_of_parquet_are_texts(self, here: Callable[..., Done], tmp_path: Path):
        table = pa.table({"id": ["a", "b"], "text": pa.array(["加油加油".encode(), b"\xff"], pa.binary())})
        pq.write_table(table, tmp_path / "in.parquet")
        done = here(tmp_path / "in.parquet", "--events.include-text", "true")
        assert [(event["comment_id"], event["text"]) for event in events(done.stdout)] == [("a", "加油加油")]
        assert b"line 2" in done.stderr

    def test_a_byte_order_mark_in_the_middle_of_joined_files_is_passed_over(
        self, here: Callable[..., Done], tmp_path: Path
    ):
        (tmp_path / "in.jsonl").write_bytes(b'{"text": "a"}\n\xef\xbb\xbf{"text": "b"}\n{"text": "c"}\n')
        done = here(tmp_path / "in.jsonl")
        assert (done.returncode, [event["comment_id"] for event in events(done.stdout)]) == (0, ["1", "2", "3"])

    def test_a_name_that_is_not_utf8_is_one(self, here: Callable[..., Done], tmp_path: Path):
        source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.jsonl"))
        source.write_bytes(b'{"id": "a", "text": "GG"}\n')
        assert here(source).returncode == 0


class TestKilled:
    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        file = tmp_path_factory.mktemp("killed") / "in.jsonl"
        texts = [f"第{number % 700}局 加油{'!' * (number % 13)}" for number in range(3000)]
        lines = [json.dumps({"id": number, "text": text}) for number, text in enumerate(texts)]
        lines[100] = "broken"
        file.write_text("\n".join(lines))
        return file

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, source: Path) -> bytes:
        """What a run that nobody interrupts writes."""
        out = source.with_name("whole.jsonl")
        assert classify(source, "--out", out, *SmallBatches.flags).returncode == 1
        return out.read_bytes()

    def kill_during(self, source: Path, out: Path, size: int) -> None:
        """Run until the output has at least this size, then kill."""
        with subprocess.Popen(
            command(source, "--out", out, *SmallBatches.flags),
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment(),
        ) as process:
            while process.poll() is None and (not out.exists() or out.stat().st_size < size):
                time.sleep(0.001)
            process.kill()
        assert process.returncode == -signal.SIGKILL, "it was over before it was killed"

    def test_a_run_that_is_killed_again_and_again_writes_the_same_bytes(
        self, source: Path, whole: bytes, tmp_path: Path
    ):
        out = tmp_path / "out.jsonl"
        for share in (0.0, 0.3, 0.6):
            self.kill_during(source, out, int(share * len(whole)))
        left = len(out.read_bytes())
        assert left < len(whole)
        with out.open("ab") as torn:  # what a power failure may leave: a torn line in both files
            torn.write(b'{"schema_ver')
        with (tmp_path / "out.jsonl.progress").open("ab") as torn:
            torn.write(b'["12ab", [[[0.1')
        done = classify(source, "--out", out, *SmallBatches.flags)
        assert done.returncode == 1, done.stderr
        assert b"going on" in done.stderr
        assert out.read_bytes() == whole
        report = source.with_name("whole.jsonl.rejected.jsonl").read_bytes()
        assert (tmp_path / "out.jsonl.rejected.jsonl").read_bytes() == report
        assert not (tmp_path / "out.jsonl.progress").exists()

    def test_another_input_model_or_setting_cannot_take_up_a_run(
        self, here: Callable[..., Done], source: Path, whole: bytes, tmp_path: Path
    ):
        out = tmp_path / "out.jsonl"
        own = tmp_path / "in.jsonl"
        own.write_bytes(source.read_bytes())
        self.kill_during(own, out, len(whole) // 3)
        before = out.read_bytes()
        own.write_bytes(source.read_bytes() + b"\n")
        assert b"another input" in here(own, "--out", out, *SmallBatches.flags).stderr
        own.write_bytes(source.read_bytes())
        flags = [*SmallBatches.flags, "--model.max-tokens", "20"]
        assert b"another model" in here(own, "--out", out, *flags).stderr
        flags = [*SmallBatches.flags, "--policy.default-threshold", "0.1"]
        assert b"another policy" in here(own, "--out", out, *flags).stderr
        assert b"another batch" in here(own, "--out", out).stderr
        mine = tmp_path / "mine.toml"
        mine.write_text('[fields]\nid = "id"\ntext = "text"\n')
        flags = [*SmallBatches.flags, "--events.mapping", mine]
        assert b"another mapping" in here(own, "--out", out, *flags).stderr
        assert out.read_bytes() == before
        done = here(own, "--out", out, *SmallBatches.flags)
        assert (done.returncode, out.read_bytes()) == (1, whole)


def test_a_signal_ends_it_in_order_and_the_same_command_goes_on(tmp_path: Path):
    source, out = tmp_path / "in.txt", tmp_path / "out.csv"
    source.write_bytes(b"".join(b"comment %d\n" % number for number in range(5000)))
    with subprocess.Popen(
        command(source, "--out", out, *SmallBatches.flags), stderr=subprocess.PIPE, cwd=ROOT, env=environment()
    ) as process:
        while not out.exists() or out.stat().st_size < 10_000:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGTERM)
        assert process.stderr is not None
        assert b"goes on from here" in process.stderr.read()
        assert process.wait(30) == 128 + signal.SIGTERM
    assert classify(source, "--out", out, *SmallBatches.flags).returncode == 0
    with out.open(encoding="utf-8", newline="") as table:
        assert [row["line"] for row in csv.DictReader(table)] == [str(number) for number in range(1, 5001)]


def test_real_comments_are_labeled_once_each_in_order(here: Callable[..., Done], tmp_path: Path):
    texts = validation_texts(5000)
    source, out = tmp_path / "real.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    done = here(source, "--out", out)
    assert done.returncode == 0, done.stderr
    labeled = events(out.read_bytes())
    assert [event["line"] for event in labeled] == list(range(1, len(texts) + 1))
    scores: dict[str, object] = {}
    for text, event in zip(texts, labeled, strict=True):
        assert scores.setdefault(text, event["labels"]) == event["labels"]
    through = int(done.stderr.split(b" texts went through")[0].split()[-1].replace(b",", b""))
    assert through <= len(set(texts))
