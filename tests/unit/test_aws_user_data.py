"""What an instance is told, and what it does with it at its boots."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mark.cloud.aws import agent
from mark.cloud.aws.agent_settings import AgentSettings
from mark.cloud.aws.user_data import user_data
from mark.domain.artifact import ModelArtifact
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import ConfigError
from mark.tracing.params import TracingParams
from mark.worker.main import parse_options

SIGNATURE = ModelSignature("digits", "1", (TensorSpec("x", "FP32", (-1, 64)),), (TensorSpec("y", "FP32", (-1,)),), 32)
SETTINGS = AgentSettings(
    "demo", "us-east-1", "mark-demo-1-us-east-1", ModelArtifact(SIGNATURE, "torchscript", "models/digits/ab/digits.pt"),
    threads=2, grace_s=7.0, install="mark-serve[aws,torch] --extra-index-url https://example.org/cpu",
)  # fmt: skip


def parsed(settings: AgentSettings = SETTINGS) -> dict[str, Any]:
    text = user_data(settings)
    assert text.startswith("#cloud-config\n")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def file_of(data: dict[str, Any], name: str) -> str:
    [content] = [each["content"] for each in data["write_files"] if each["path"].endswith(name)]
    assert isinstance(content, str)
    return content


def keys_of(unit: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{key}=")]


class TestSettings:
    def test_what_is_written_is_read(self) -> None:
        assert AgentSettings.from_json(SETTINGS.to_json(), "agent.json") == SETTINGS

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"cluster": 7}, "cluster must be a str, not 7"),
            ({"threads": True}, "threads must be a int, not True"),
            ({"grace_s": "5"}, "grace_s must be a float, not '5'"),
            ({"artifact": {}}, "artifact is not an artifact: runtime is missing"),
            ({"threds": 1}, "unknown key 'threds'"),
        ],
    )
    def test_what_is_wrong_is_named_with_the_file(self, change: dict[str, object], words: str) -> None:
        text = json.dumps({**json.loads(SETTINGS.to_json()), **change})
        with pytest.raises(ConfigError, match=f"agent.json: {words}"):
            AgentSettings.from_json(text, "agent.json")

    @pytest.mark.parametrize(
        ("text", "words"), [("{", "is not JSON"), ("[]", "must be an object"), ("{}", "cluster is missing")]
    )
    def test_what_is_no_settings_is_refused(self, text: str, words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            AgentSettings.from_json(text, "agent.json")


class TestTraces:
    TRACED = replace(SETTINGS, trace_endpoint="http://10.0.0.9:4317", trace_service="digits-worker")

    def test_they_are_written_only_where_there_are_any(self) -> None:
        assert AgentSettings.from_json(self.TRACED.to_json(), "agent.json") == self.TRACED
        # An image whose mark is older would refuse the key.
        assert "trace" not in SETTINGS.to_json()

    def test_the_worker_is_told_of_them(self) -> None:
        command = agent._command(self.TRACED, SETTINGS.artifact, "127.0.0.1:1", Path("tls"))
        assert command[-4:] == ["--trace-endpoint", "http://10.0.0.9:4317", "--trace-service", "digits-worker"]
        assert parse_options(command[3:]).tracing == TracingParams("http://10.0.0.9:4317", 0.0, "digits-worker")
        assert (
            parse_options(agent._command(SETTINGS, SETTINGS.artifact, "127.0.0.1:1", Path("tls"))[3:]).tracing is None
        )

    def test_a_machine_without_opentelemetry_serves_and_says_so(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setitem(sys.modules, "opentelemetry", None)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        command = agent._command(self.TRACED, SETTINGS.artifact, "127.0.0.1:1", Path("tls"))
        assert "--trace-endpoint" not in command
        assert "aws.install must name the extra tracing" in caplog.text


class TestUserData:
    def test_the_settings_are_written_as_the_agent_reads_them(self) -> None:
        assert AgentSettings.from_json(file_of(parsed(), "/etc/mark/agent.json"), "agent.json") == SETTINGS

    def test_the_same_settings_give_the_same_text(self) -> None:
        assert user_data(SETTINGS) == user_data(replace(SETTINGS))
        assert user_data(SETTINGS) != user_data(replace(SETTINGS, threads=3))

    def test_the_unit_runs_the_agent_at_every_boot(self) -> None:
        data = parsed()
        unit = file_of(data, "mark-agent.service")
        assert keys_of(unit, "ExecStart") == ["/opt/mark/bin/mark aws agent /etc/mark/agent.json"]
        assert keys_of(unit, "WantedBy") == ["multi-user.target"]
        assert keys_of(unit, "TimeoutStopSec") == ["22"]
        assert "systemctl enable --now --no-block mark-agent.service" in data["runcmd"][0][-1]

    def test_an_image_that_has_mark_installs_nothing(self) -> None:
        data = parsed(replace(SETTINGS, install=""))
        assert keys_of(file_of(data, "mark-agent.service"), "ExecStart") == ["mark aws agent /etc/mark/agent.json"]
        assert [each["path"] for each in data["write_files"]] == [
            "/etc/mark/agent.json", "/etc/systemd/system/mark-agent.service",
        ]  # fmt: skip
        assert "install" not in data["runcmd"][0][-1]

    def test_files_are_readable_and_hold_nothing_that_must_be_hidden(self) -> None:
        for each in parsed()["write_files"]:
            assert (each["permissions"], each["owner"]) == ("0644", "root:root")
        assert not any(word in user_data(SETTINGS).lower() for word in ("secret", "private key", "aws_access", "token"))

    def test_one_that_is_longer_than_ec2_takes_is_refused(self) -> None:
        tensors = tuple(TensorSpec(f"input_{n}", "FP32", (-1, 64)) for n in range(400))
        artifact = ModelArtifact(replace(SIGNATURE, inputs=tensors), "torchscript", "models/digits/ab/digits.pt")
        with pytest.raises(ConfigError, match="EC2 takes 16384"):
            user_data(replace(SETTINGS, artifact=artifact))


def with_commands(folder: Path, **scripts: str) -> dict[str, str]:
    """An environment in which these commands come first; each notes that it was called."""
    for name, script in scripts.items():
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/called\n{script}\n', encoding="utf-8")
        path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def called(folder: Path) -> list[str]:
    path = folder / "called"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


class TestShell:
    """What the shell makes of the words in it."""

    @pytest.mark.parametrize(("result", "is_off"), [("success", False), ("exit-code", True), ("signal", True)])
    def test_the_machine_is_powered_off_when_the_service_ends_by_itself(
        self, tmp_path: Path, result: str, is_off: bool
    ) -> None:
        [line] = keys_of(file_of(parsed(), "mark-agent.service"), "ExecStopPost")
        assert line.startswith("+")  # as root, whoever the service runs as
        words = [word.replace("$$", "$") for word in shlex.split(line[1:])]  # as systemd reads it

        subprocess.run(words, env={**with_commands(tmp_path, systemctl=""), "SERVICE_RESULT": result}, check=True)

        assert called(tmp_path) == (["systemctl poweroff --no-block"] if is_off else [])

    def test_a_machine_that_cannot_install_is_powered_off_and_starts_nothing(self, tmp_path: Path) -> None:
        script = tmp_path / "install.sh"
        script.write_text("exit 1\n", encoding="utf-8")
        [command] = parsed()["runcmd"]
        words = [word.replace("/etc/mark/install.sh", str(script)) for word in command]

        done = subprocess.run(words, env=with_commands(tmp_path, systemctl=""), check=False)

        assert done.returncode == 1
        assert called(tmp_path) == ["systemctl poweroff"]

    def test_the_install_script_makes_an_environment_with_what_is_asked(self, tmp_path: Path) -> None:
        home = tmp_path / "mark"
        # One whose pip notes that it was called.
        pip = (
            f'mkdir -p "{home}/bin"; printf "#!/bin/sh\\necho pip \\"\\$@\\" >> {tmp_path}/called\\n" > {home}/bin/pip;'
            f" chmod +x {home}/bin/pip"
        )
        script = file_of(parsed(), "/etc/mark/install.sh").replace("/opt/mark", str(home))
        environment = with_commands(tmp_path, **{"python3.13": f'test "$1" = -c || {{ {pip}; }}'})

        subprocess.run(["/bin/sh", "-c", script], env=environment, check=True)

        assert called(tmp_path)[-2:] == [
            f"python3.13 -m venv {home}",
            "pip install --quiet --retries 5 mark-serve[aws,torch] --extra-index-url https://example.org/cpu",
        ]
