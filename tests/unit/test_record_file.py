"""The decision log on disk: lines whole, files rotated, and a disk that fails stops nothing."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import pytest

from mark.domain.record import Record, RecordKind
from mark.live import record_file
from mark.live.record_file import RecordFile, line_of
from mark.live.rotated_lines import RotatedLines, rotated_paths


def record(number: int, reason: str = "why") -> Record:
    return Record(id=f"m-{number}", at_ns=number, unix_s=0.0, model="m", kind=RecordKind.PLAN, reason=reason)


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_a_record_is_one_line_of_json() -> None:
    line = line_of(record(1, "two\nlines, ünïcode"))

    assert "\n" not in line
    assert Record.from_dict(json.loads(line)) == record(1, "two\nlines, ünïcode")


def test_a_full_file_is_put_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = RotatedLines(path, bytes_max=10, files_max=3)
    for number in range(10):
        lines.write(f"{number:04d}")
    lines.close()

    assert {each.name: lines_of(each) for each in tmp_path.iterdir()} == {
        "log": ["0008", "0009"],
        "log.1": ["0006", "0007"],
        "log.2": ["0004", "0005"],
    }
    assert rotated_paths(path) == [tmp_path / "log.2", tmp_path / "log.1", path]


def test_one_file_is_begun_anew(tmp_path: Path) -> None:
    lines = RotatedLines(tmp_path / "log", bytes_max=10, files_max=1)
    for number in range(5):
        lines.write(f"{number:04d}")
    lines.close()

    assert [each.name for each in tmp_path.iterdir()] == ["log"]
    assert lines_of(tmp_path / "log") == ["0004"]


def test_fewer_files_than_before_take_the_old_ones_away(tmp_path: Path) -> None:
    for number in range(1, 8):
        (tmp_path / f"log.{number}").write_text("x\n")
    (tmp_path / "log.gz").write_text("not ours")
    lines = RotatedLines(tmp_path / "log", bytes_max=4, files_max=3)
    lines.write("aaa")
    lines.write("bbb")
    lines.close()

    assert sorted(each.name for each in tmp_path.iterdir()) == ["log", "log.1", "log.2", "log.gz"]


def test_a_line_longer_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    lines = RotatedLines(tmp_path / "log", bytes_max=10, files_max=9)
    for line in ("a", "b" * 50, "c"):
        lines.write(line)
    lines.close()

    assert [lines_of(each) for each in rotated_paths(tmp_path / "log")] == [["a"], ["b" * 50], ["c"]]


def test_what_is_there_is_gone_on_with_and_a_torn_line_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log"
    path.parent.mkdir()
    path.write_text('{"whole": 1}\n{"torn')
    lines = RotatedLines(path, bytes_max=1000, files_max=2)
    lines.write("new")
    lines.close()

    assert lines_of(path) == ['{"whole": 1}', '{"torn', "new"]


def test_all_that_was_recorded_is_there_when_it_is_closed_and_nothing_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_file, "_CLOSE_S", 60.0)  # all of it, on however slow a disk
    file = RecordFile(tmp_path / "log", bytes_max=10_000, files_max=100)
    for number in range(500):
        file.record(record(number))
    file.close()
    file.close()
    file.record(record(500))

    read = [json.loads(line)["id"] for path in rotated_paths(tmp_path / "log") for line in lines_of(path)]
    assert read == [f"m-{number}" for number in range(500)]
    assert (file.written, file.lost) == (500, 1)
    assert not any(thread.name == "decision log" for thread in threading.enumerate())


def test_without_a_record_there_is_neither_file_nor_thread(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "log", bytes_max=100, files_max=1)
    file.close()

    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_counted_and_told_and_goes_on_when_the_disk_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "log"
    folder.mkdir()  # a folder cannot be written to, not even by root
    file = RecordFile(folder, bytes_max=100, files_max=1)
    with caplog.at_level(logging.ERROR):
        for number in range(3):
            file.record(record(number))
        while file.lost < 3:
            threading.Event().wait(0.005)
    folder.rmdir()
    file.record(record(3))
    file.close()

    assert (file.written, file.lost) == (1, 3)
    assert [each.message for each in caplog.records if "a record is lost, 1 in all" in each.message]
    assert len(caplog.records) == 1
    assert len(lines_of(folder)) == 1


def test_a_disk_that_hangs_makes_nobody_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(record_file, "_WAITING_MAX", 5)
    monkeypatch.setattr(record_file, "_CLOSE_S", 0.05)
    hangs = threading.Event()
    monkeypatch.setattr(RotatedLines, "write", lambda *_: hangs.wait())
    file = RecordFile(tmp_path / "log", bytes_max=100, files_max=1)
    for number in range(50):
        file.record(record(number))
    file.close()

    assert file.lost >= 44
    assert "its disk does not answer" in caplog.text
    hangs.set()


def test_a_number_that_json_has_not_is_lost_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = RecordFile(tmp_path / "log", bytes_max=100, files_max=1)
    file.record(Record("m-1", 0, float("nan"), "m", RecordKind.PLAN, "why"))
    file.close()

    assert file.lost == 1
    assert "a record is lost" in caplog.text


def test_a_file_that_others_moved_or_took_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log"
    lines = RotatedLines(path, bytes_max=1000, files_max=2)
    lines.write("a")
    path.rename(tmp_path / "moved")
    lines.write("b")
    path.unlink()
    path.parent.rmdir()
    lines.write("c")
    lines.close()

    assert lines_of(tmp_path / "moved") == ["a"]
    assert lines_of(path) == ["c"]
