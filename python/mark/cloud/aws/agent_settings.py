"""What an instance is told about itself by its user data. Nothing in it is secret."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from mark.cloud.aws.settings import WORKER_PORT
from mark.domain.artifact import ModelArtifact, artifact_from_json, artifact_to_json
from mark.errors import ConfigError

__all__ = ["AgentSettings"]


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What the agent of an instance reads at every boot.

    Attributes:
        cluster: name of the cluster.
        region: of the bucket and of the queue.
        bucket: where the model and the certificates are.
        artifact: the model; the source of "torchscript" and "onnx" is a key of the bucket, see `models.model_key`.
        threads: compute threads of the worker.
        cpu_share: share of the machine that the worker uses, in (0, 1].
        device: what the worker computes on.
        port: where the worker listens, at the instance's private address.
        grace_s: how long a worker that is told to end may finish its batch.
        install: what pip installs before the first boot's agent starts; empty for an image that has mark.
        trace_endpoint: where the worker's spans go; empty: it traces nothing.
        trace_service: as which they name it.
    """

    cluster: str
    region: str
    bucket: str
    artifact: ModelArtifact
    threads: int = 1
    cpu_share: float = 1.0
    device: str = "cpu"
    port: int = WORKER_PORT
    grace_s: float = 5.0
    install: str = ""
    trace_endpoint: str = ""
    trace_service: str = ""

    def to_json(self) -> str:
        """Write it as the text that `from_json` reads; the same settings give the same text."""
        data = {**asdict(self), "artifact": json.loads(artifact_to_json(self.artifact))}
        if not self.trace_endpoint:  # an image whose mark is older knows no such keys
            del data["trace_endpoint"], data["trace_service"]
        return json.dumps(data, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, name: str) -> AgentSettings:
        """Read settings.

        Args:
            text: what `to_json` wrote.
            name: of the file, for messages.

        Raises:
            ConfigError: a key is missing, unknown or of the wrong kind; the message names it.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{name}: is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise ConfigError(f"{name}: must be an object, as the user data of the launch template writes it")
        known = {field.name: field for field in fields(cls)}
        unknown = sorted(data.keys() - known.keys())
        if unknown:
            raise ConfigError(f"{name}: unknown key {unknown[0]!r}; is mark on this image older than the router's?")
        values = {key: _value(name, key, str(known[key].type), value) for key, value in data.items()}
        missing = [key for key in ("cluster", "region", "bucket", "artifact") if key not in values]
        if missing:
            raise ConfigError(f"{name}: {missing[0]} is missing")
        return cls(**values)


def _value(name: str, key: str, kind: str, value: object) -> Any:
    if kind == "ModelArtifact":
        try:
            return artifact_from_json(json.dumps(value))
        except ValueError as error:
            raise ConfigError(f"{name}: artifact {error}") from error
    # By exact type: to isinstance, true is a whole number.
    allowed = {"str": (str,), "int": (int,), "float": (int, float)}[kind]
    if type(value) not in allowed:
        raise ConfigError(f"{name}: {key} must be a {kind}, not {value!r}")
    return value
