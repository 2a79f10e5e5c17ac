"""The section `http`: where the page is, and who may see it."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.test_config import GOOD, refusal

from mark.app.http import TOKEN_VARIABLE, check_http, token_of
from mark.config import load_config, parse_config
from mark.config.http import HttpConfig
from mark.errors import ConfigError

TOKEN = "a-token-of-32-signs-that-is-good"


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


class TestAddress:
    def test_it_is_of_this_machine_unless_the_file_says_otherwise(self) -> None:
        http = parse_config(GOOD).http

        assert (http.host, http.port) == ("127.0.0.1", 8002)
        assert http.is_loopback
        assert not http.is_chosen

    @pytest.mark.parametrize("off", ["off", '"off"', "false"])
    def test_off_is_off_although_yaml_takes_it_for_a_truth_value(self, off: str) -> None:
        http = parse_config(GOOD + f"http: {{address: {off}}}\n").http

        assert http.is_off
        assert token_of(http) is None

    @pytest.mark.parametrize(
        ("address", "host", "port", "loopback"),
        [
            ("localhost:0", "localhost", 0, True),
            ("127.9.9.9:80", "127.9.9.9", 80, True),
            ('"[::1]:8002"', "::1", 8002, True),
            ("0.0.0.0:8002", "0.0.0.0", 8002, False),
            ('"[::]:8002"', "::", 8002, False),
            ("page.example.org:443", "page.example.org", 443, False),
        ],
    )
    def test_it_is_a_host_and_a_port(self, address: str, host: str, port: int, loopback: bool) -> None:
        http = parse_config(GOOD + f"http: {{address: {address}}}\n").http

        assert (http.host, http.port, http.is_loopback) == (host, port, loopback)
        assert http.is_chosen

    @pytest.mark.parametrize("address", ["on", "8002", "localhost", ":8002", "::1:8002", "localhost:65536", "a b:1"])
    def test_anything_else_is_refused(self, address: str) -> None:
        assert "http.address: must be off, host:port" in refusal(GOOD + f'http: {{address: "{address}"}}\n')


class TestToken:
    def test_none_is_needed_where_only_this_machine_can_look(self) -> None:
        assert token_of(HttpConfig()) is None

    def test_one_is_needed_where_others_can(self) -> None:
        with pytest.raises(ConfigError, match=r"http\.address: other machines can reach 0\.0\.0\.0:8002"):
            check_http(HttpConfig(address="0.0.0.0:8002"))

    def test_it_may_be_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)

        assert token_of(HttpConfig(address="0.0.0.0:8002")) == TOKEN
        assert token_of(HttpConfig()) == TOKEN

    def test_it_may_be_in_a_file_beside_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "page.token").write_text(f"{TOKEN}\n", encoding="utf-8")
        (tmp_path / "mark.yaml").write_text(GOOD + "http: {token_file: page.token}\n", encoding="utf-8")

        assert token_of(load_config(tmp_path / "mark.yaml").http) == TOKEN

    @pytest.mark.parametrize(
        "token", ["", "short", "fifteen-letters", "with spaces in the middle", "ümläüt-ümläüt-ümlä"]
    )
    def test_a_bad_one_is_refused_and_never_told(self, tmp_path: Path, token: str) -> None:
        file = tmp_path / "page.token"
        file.write_text(token, encoding="utf-8")

        with pytest.raises(ConfigError, match="a token has at least 16") as raised:
            token_of(HttpConfig(token_file=str(file)))

        assert not token or token not in str(raised.value)

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"http\.token_file: .*gone\.token cannot be read: No such file"):
            token_of(HttpConfig(token_file=str(tmp_path / "gone.token")))
