"""What runs pages tells those that are true from those that are not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from docs.command_lines import mark_commands, refusal, unknown_word
from docs.page import read_page
from docs.page_process import run_in_process
from docs.shown import missing_line

# A program that says where it serves, and ends well on Ctrl-C, however soon that comes.
SERVER = """\
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print('serving at 0:1', flush=True)
signal.sigwait([signal.SIGINT])
print('bye')"""


def page_of(folder: Path, *fences: str) -> Path:
    page = folder / "page.md"
    page.write_text("\n\n".join(f"```{fence}\n```" for fence in fences) + "\n", encoding="utf-8")
    return page


def run(page: Path) -> subprocess.CompletedProcess[str]:
    folder = page.parent / "folder"
    folder.mkdir()
    return run_in_process(page, folder, timeout_s=60)


def test_files_are_saved_and_commands_see_what_earlier_ones_left(tmp_path: Path) -> None:
    page = page_of(tmp_path, 'yaml title="a.yaml"\nkey: 7', "sh\ncp a.yaml b.yaml", "sh\ncat b.yaml", "text\nkey: 12")

    done = run(page)

    assert done.returncode == 0, done.stdout
    assert (tmp_path / "folder" / "b.yaml").read_text(encoding="utf-8") == "key: 7\n"
    assert done.stdout.splitlines()[-1].startswith("page.md: ")


@pytest.mark.parametrize(
    ("fences", "words"),
    [
        (["sh\ntrue", "sh\nfalse\ntrue"], "page.md:5:\nfalse\ntrue\nexit status 1"),
        (["sh\necho this", "text\nthat"], "the page shows 'that'; it printed:\nthis"),
        (['sh title="second terminal"\necho this', "text\nthat"], "it ended without printing 'that', but:\nthis"),
        # It does not hear Ctrl-C, which may come before it has ended by itself.
        (["sh title=\"second terminal\"\ntrap '' INT\necho this\nexit 3", "text\nthis"], "exit status 3 after Ctrl-C"),
        (["sh\nsetsid sleep 1000 >/dev/null 2>&1 &"], "processes were left behind"),
    ],
)
def test_a_page_that_is_not_true_is_told_with_its_line(tmp_path: Path, fences: list[str], words: str) -> None:
    done = run(page_of(tmp_path, *fences))

    assert done.returncode == 1
    assert words in done.stdout


def test_a_terminal_runs_on_until_ctrl_c(tmp_path: Path) -> None:
    page = page_of(
        tmp_path,
        f'python title="server.py"\n{SERVER}',
        'sh title="second terminal"\npython server.py',
        "text\nserving at 7:2",
        "sh\necho called",
        'text title="second terminal, after Ctrl-C"\nbye',
    )

    done = run(page)

    assert done.returncode == 0, done.stdout
    assert "^C in the second terminal" in done.stdout


def test_what_needs_more_than_there_is_does_not_run(tmp_path: Path) -> None:
    page = page_of(tmp_path, 'sh title="needs a GPU"\nfalse', "sh\ntrue")

    assert [fence.needs for fence in read_page(page).fences] == ["a GPU", ""]
    assert run(page).returncode == 0


def test_a_page_begins_in_the_folder_of_another(tmp_path: Path) -> None:
    page = page_of(tmp_path, "sh\ntrue")
    page.write_text("<!-- goes on in the folder of first.md -->\n" + page.read_text(encoding="utf-8"), encoding="utf-8")

    assert read_page(page).before == tmp_path / "first.md"


def test_numbers_and_frames_may_differ_and_words_may_not() -> None:
    printed = "2026-11-26 12:48 launch 1 x small\n┃ a ┃ b ┃\n│ p50 │ 3.1 ms │\nand more\nstopped, $0.000409\n"

    assert missing_line("2027-01-01 01:02 launch 9 x small\n...\nstopped, $1.5", printed) is None
    assert missing_line("┃ a ┃ b  ┃\n│ p50 │ unknown │", printed) is None
    assert missing_line("launch 1 x large", printed) == "launch 1 x large"
    assert missing_line("stopped, $0.1\nand more", printed) == "and more"


def test_commands_of_mark_are_found_in_lines_of_shell() -> None:
    shown = "A=1 mark status  # now\n$ mark load x:1 \\\n  --model m | head\ncat 'mark'\nmark serve f.yaml &\n"

    assert list(mark_commands(shown)) == [["status"], ["load", "x:1", "--model", "m"], ["serve", "f.yaml"]]


def test_a_command_is_checked_by_the_parser_of_mark() -> None:
    assert refusal(["load", "localhost:8001", "--model", "m", "--rate", "5"]) == ""
    assert refusal(["trace", "make", "daily", "-o", "x.csv"]) == ""
    assert refusal(["load", "localhost:8001"])  # no model
    assert refusal(["load", "localhost:8001", "--model", "m", "--rate", "many"])
    assert "sevre" in refusal(["sevre", "x.yaml"])
    assert refusal(["load", "--help"]) == ""


def test_prose_may_name_a_command_without_what_it_needs() -> None:
    assert unknown_word(["load", "--rate"]) == ""
    assert unknown_word(["load", "--rates"]) == "--rates"
    assert unknown_word(["aws", "boostrap"]) == "boostrap"
