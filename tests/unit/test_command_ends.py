"""How a command ends that a person interrupts before it has begun."""

from __future__ import annotations

import io
import sys

import pytest

from mark.cli import commands, main


def test_ctrl_c_while_the_commands_are_read_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "app", interrupted)

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_in_the_last_moment_ends_as_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(io.StringIO):
        def flush(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(commands, "app", lambda: None)
    monkeypatch.setattr(sys, "stderr", Interrupted())

    with pytest.raises(SystemExit) as ended:
        main()
    monkeypatch.undo()
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "")
