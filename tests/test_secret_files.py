"""Secrets in files: what is read, what is refused, when a change counts, and that nothing of it is ever told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from consumer.secret_files import LIMIT, SecretFile, SecretUnreadable, read_secret, readable_by_all

SECRET = "hunter2"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    return path


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"a", "a"),
        (b"a\n", "a"),
        (b"a\r\n", "a"),
        (b" a b \n", " a b "),
        ("é加\n".encode(), "é加"),
        (b"a\nb\n", "a\nb"),
    ],
)
def test_a_secret_is_what_the_file_holds_without_its_last_line_end(file: Path, content: bytes, secret: str) -> None:
    file.write_bytes(content)
    assert read_secret(file) == secret


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b" \t\n", "is empty"),
        (SECRET.encode() + b"\xff", "is not UTF-8"),
        (SECRET.encode() + b"\x00x", "zero byte"),
        (SECRET.encode() * LIMIT, f"has more than {LIMIT} bytes"),
    ],
)
def test_what_is_no_secret_is_refused_without_a_trace_of_it(file: Path, content: bytes, why: str) -> None:
    file.write_bytes(content)
    with pytest.raises(SecretUnreadable, match=why) as refused:
        read_secret(file)
    assert str(file) in str(refused.value)
    error: BaseException | None = refused.value
    while error is not None:
        assert SECRET not in repr(error) + repr(vars(error))
        assert not isinstance(error, UnicodeDecodeError)  # it holds the whole text
        error = error.__cause__ or error.__context__


def test_a_file_that_is_not_there_a_folder_and_an_endless_one_are_refused(tmp_path: Path) -> None:
    for path, why in (
        (tmp_path / "none", "FileNotFoundError"),
        (tmp_path, "IsADirectoryError"),
        (Path("/dev/zero"), "more than"),
    ):
        with pytest.raises(SecretUnreadable, match=why):
            read_secret(path)


@pytest.mark.parametrize(("mode", "exposed"), [(0o400, False), (0o440, False), (0o444, True), (0o644, True)])
def test_a_file_that_everybody_may_read_is_noticed(file: Path, mode: int, exposed: bool) -> None:
    file.chmod(mode)
    assert readable_by_all(file) is exposed
    link = file.parent / "link"
    link.symlink_to(file)
    assert readable_by_all(link) is exposed
    assert not readable_by_all(file.parent / "none")


class TestWatching:
    @pytest.fixture
    def watched(self, file: Path) -> SecretFile:
        return SecretFile(file, SECRET)

    def test_nothing_changes_while_nothing_changes(self, watched: SecretFile) -> None:
        assert [watched.look() for _ in range(3)] == [None] * 3

    def test_a_change_counts_once_when_it_was_seen_twice(self, watched: SecretFile, file: Path) -> None:
        file.write_text("other")
        assert [watched.look() for _ in range(4)] == [None, "other", None, None]

    def test_what_is_there_in_part_does_not_count(self, watched: SecretFile, file: Path) -> None:
        for part in ("o", "ot", "oth", "other"):
            file.write_text(part)
            assert watched.look() is None
        assert watched.look() == "other"

    def test_a_change_that_is_taken_back_never_was_one(self, watched: SecretFile, file: Path) -> None:
        file.write_text("other")
        assert watched.look() is None
        file.write_text(SECRET)
        assert [watched.look(), watched.look()] == [None, None]
        file.write_text("other")
        assert watched.look() is None  # seen before, but not in a row

    def test_a_file_without_a_secret_is_told_each_time_and_changes_nothing(
        self, watched: SecretFile, file: Path
    ) -> None:
        file.write_text("")
        for _ in range(2):
            with pytest.raises(SecretUnreadable):
                watched.look()
        file.write_text(SECRET)
        assert [watched.look(), watched.look()] == [None, None]

    def test_the_same_size_time_and_inode_do_not_hide_a_change(self, watched: SecretFile, file: Path) -> None:
        before = file.stat()
        file.write_text("HUNTER2\n")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (file.stat().st_mtime_ns, file.stat().st_ino, file.stat().st_size) == (
            before.st_mtime_ns,
            before.st_ino,
            before.st_size,
        )
        assert [watched.look(), watched.look()] == [None, "HUNTER2"]

    def test_a_link_that_is_pointed_elsewhere_is_followed(self, tmp_path: Path) -> None:
        """Kubernetes: password -> ..data/password, and ..data is renamed onto."""
        for name, secret in (("..one", SECRET), ("..two", "other")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "password").write_text(secret)
        (tmp_path / "..data").symlink_to("..one")
        (tmp_path / "password").symlink_to("..data/password")
        watched = SecretFile(tmp_path / "password", SECRET)
        assert watched.look() is None
        (tmp_path / "..data_tmp").symlink_to("..two")
        os.rename(tmp_path / "..data_tmp", tmp_path / "..data")
        assert [watched.look(), watched.look()] == [None, "other"]

    def test_it_does_not_show_what_it_knows(self, watched: SecretFile, file: Path) -> None:
        file.write_text("other-secret")
        watched.look()
        assert repr(watched) == f"SecretFile({file})"
