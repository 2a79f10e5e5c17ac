"""The charting library: exactly one version, whichever way it came."""

from __future__ import annotations

import importlib.util
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fetch_charts.py"


@pytest.fixture
def charts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, which means an archive of ours instead of uPlot's."""
    spec = importlib.util.spec_from_file_location("fetch_charts", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def archive_of(charts: ModuleType) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path in charts.FILES:
            info = tarfile.TarInfo(path)
            info.size = len(path)
            tar.addfile(info, io.BytesIO(path.encode()))
    return packed.getvalue()


@pytest.fixture
def archive(charts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> bytes:
    content = archive_of(charts)
    sha512 = charts.base64.b64encode(charts.hashlib.sha512(content).digest()).decode()
    monkeypatch.setattr(charts, "SHA512", sha512)
    monkeypatch.setattr(
        charts, "FILES", {path: charts.hashlib.sha256(path.encode()).hexdigest() for path in charts.FILES}
    )
    return content


def failing(charts: ModuleType) -> Callable[[], bytes]:
    def source() -> bytes:
        raise charts.Unusable("the registry is out")

    return source


def test_the_first_source_that_has_it_fills_the_folder(charts: ModuleType, archive: bytes, tmp_path: Path) -> None:
    charts.fetch(tmp_path / "charts", [failing(charts), lambda: archive, failing(charts)])

    assert sorted(file.name for file in (tmp_path / "charts").iterdir()) == [
        "LICENSE",
        "uPlot.iife.min.js",
        "uPlot.min.css",
    ]


def test_what_is_there_and_right_is_not_fetched_again(charts: ModuleType, archive: bytes, tmp_path: Path) -> None:
    charts.fetch(tmp_path, [lambda: archive])
    charts.fetch(tmp_path, [failing(charts)])

    (tmp_path / "uPlot.min.css").write_text("changed", encoding="utf-8")
    with pytest.raises(charts.Unusable, match="the registry is out"):
        charts.fetch(tmp_path, [failing(charts)])


def test_another_archive_is_refused_and_nothing_written(charts: ModuleType, archive: bytes, tmp_path: Path) -> None:
    with pytest.raises(charts.Unusable, match="has the SHA-512"):
        charts.fetch(tmp_path / "charts", [lambda: archive + b"!"])

    assert not (tmp_path / "charts").exists()


def test_from_a_file_without_a_network(charts: ModuleType, archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "uplot.tgz").write_bytes(archive)

    assert charts.main([str(tmp_path / "charts"), str(tmp_path / "uplot.tgz")]) == 0
    assert charts.is_complete(tmp_path / "charts")


def test_a_build_without_it_is_told_why(charts: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert charts.main([str(tmp_path / "charts"), str(tmp_path / "gone.tgz")]) == 1
    assert capsys.readouterr().err == f"no charts: {tmp_path / 'gone.tgz'}: No such file or directory\n"
