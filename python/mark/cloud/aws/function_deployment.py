"""Creates, updates and deletes the Lambda function of a model. Whoever repeats a step finds it done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3

from mark.cloud.aws.errors import AWS_ERRORS, code_of, translated
from mark.cloud.aws.function_log import keep_log
from mark.cloud.aws.function_package import DIRECT_BYTES_MAX, HANDLER, FunctionPackage
from mark.cloud.aws.session import AwsSession, Client
from mark.cloud.aws.settings import AwsSettings
from mark.cloud.aws.tags import CLUSTER, MODEL
from mark.domain.artifact import ModelArtifact, artifact_to_json
from mark.errors import CloudError, ConfigError, QuotaExceeded

__all__ = ["FunctionDeployment", "can_be_called", "delete_function", "deploy_function"]

_ENVIRONMENT_BYTES_MAX = 4096  # AWS Lambda's own limit
_PAUSE_S, _PAUSE_MAX_S = 0.5, 5.0
_READY_MAX_S = 300.0  # a large image is unpacked meanwhile
_ROLE_MAX_S = 30.0  # a new role is not known everywhere at once
_NO_ROLE_YET = "cannot be assumed by Lambda"

_NOT_CALLABLE = {"Pending", "Failed"}

Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class FunctionDeployment:
    """What the function of one model is to be.

    Attributes:
        artifact: the model; its source is a path in the package, `s3://bucket/key` or `package.module:factory`.
        code: a zip, or the URI of a container image.
        memory_gb: what it is billed for; AWS Lambda gives a CPU for each 1.77 of them.
        timeout_s: it is ended when it works for longer.
        concurrency_max: functions at once, reserved of the account's.
        threads: compute threads.
    """

    artifact: ModelArtifact
    code: FunctionPackage | str
    memory_gb: float
    timeout_s: float
    concurrency_max: int
    threads: int = 1


def deploy_function(
    session: AwsSession,
    settings: AwsSettings,
    deployment: FunctionDeployment,
    sleep: Sleep = time.sleep,
    check_leads: Callable[[], None] = lambda: None,
) -> str:
    """Make the function what it is to be, and return its name once it can be called. What is so already is left alone.

    Args:
        session: of the region that it is in.
        settings: of its cluster.
        deployment: what it is to be.
        sleep: waits between two looks.
        check_leads: called before each change; raises a CloudError when another router leads the cluster by now.

    Raises:
        ConfigError: the model cannot be described in the environment of a function.
        QuotaExceeded: the account has not so many functions at once.
        CloudError: AWS does not do it; the message says at which step.
    """
    return _Deploying(session, settings, deployment, sleep, check_leads).run()


def can_be_called(session: AwsSession, settings: AwsSettings, model: str) -> bool:
    """Whether the function of a model is there, and is not being made just now.

    Raises:
        CloudError: AWS does not say, or the function is not this cluster's.
    """
    name = settings.function(model)
    try:
        found = session.client("lambda").get_function(FunctionName=name)
    except AWS_ERRORS as error:
        if code_of(error) == "ResourceNotFoundException":
            return False
        raise translated(error, f"function {name}: looking for it") from error
    _check_owned(name, found, settings)
    return bool(found["Configuration"].get("State", "Active") not in _NOT_CALLABLE)


def delete_function(session: AwsSession, settings: AwsSettings, model: str) -> None:
    """Delete the function of a model, if there is one.

    Raises:
        CloudError: AWS does not do it, or the function is not this cluster's.
    """
    client, name = session.client("lambda"), settings.function(model)
    try:
        found = client.get_function(FunctionName=name)
        _check_owned(name, found, settings)
        client.delete_function(FunctionName=name)
    except AWS_ERRORS as error:
        if code_of(error) != "ResourceNotFoundException":
            raise translated(error, f"deleting function {name}") from error


class _Deploying:
    """One deployment. Each step looks first, so that one that was broken off is finished by the next."""

    def __init__(
        self,
        session: AwsSession,
        settings: AwsSettings,
        deployment: FunctionDeployment,
        sleep: Sleep,
        check_leads: Callable[[], None],
    ) -> None:
        self._session = session
        self._settings = settings
        self._deployment = deployment
        self._sleep = sleep
        self._check_leads = check_leads
        self._client: Client = session.client("lambda")
        self._name = settings.function(deployment.artifact.signature.name)

    def run(self) -> str:
        wanted = self._configuration()
        found = self._get()
        if found is not None:
            _check_owned(self._name, found, self._settings)
        self._check_leads()
        keep_log(self._session, self._settings, self._name, self._tags)
        if found is None:
            self._create(wanted)
        else:
            self._until_ready()
            self._update_code(found)
            self._update_configuration(found["Configuration"], wanted)
        self._until_ready()
        self._reserve((found or {}).get("Concurrency", {}).get("ReservedConcurrentExecutions"))
        return self._name

    @property
    def _tags(self) -> dict[str, str]:
        return {CLUSTER: self._settings.cluster, MODEL: self._deployment.artifact.signature.name}

    def _configuration(self) -> dict[str, Any]:
        deployment = self._deployment
        variables = {"MARK_ARTIFACT": artifact_to_json(deployment.artifact), "MARK_THREADS": str(deployment.threads)}
        taken_bytes = sum(len(name) + len(value.encode()) for name, value in variables.items())
        if taken_bytes > _ENVIRONMENT_BYTES_MAX:
            raise ConfigError(
                f"model {deployment.artifact.signature.name!r} takes {taken_bytes} bytes as JSON, and the environment "
                f"of a function has {_ENVIRONMENT_BYTES_MAX}: shorten its lists of tensors and sizes"
            )
        partition = boto3.session.Session().get_partition_for_region(self._settings.region)
        role = f"arn:{partition}:iam::{self._session.account}:role/{self._settings.function_role}"
        wanted = {
            "Role": role,
            "MemorySize": math.ceil(deployment.memory_gb * 1024),
            "Timeout": max(1, math.ceil(deployment.timeout_s)),
            "Environment": {"Variables": variables},
        }
        if isinstance(deployment.code, FunctionPackage):
            wanted |= {"Handler": HANDLER, "Runtime": deployment.code.runtime}
        return wanted

    def _code(self) -> dict[str, Any]:
        code = self._deployment.code
        if isinstance(code, str):
            return {"ImageUri": code}
        if code.size_bytes <= DIRECT_BYTES_MAX:
            return {"ZipFile": code.path.read_bytes()}
        bucket = self._settings.bucket(self._session.account)
        key = f"models/{self._deployment.artifact.signature.name}/{code.sha256.replace('/', '_')}/function.zip"
        with code.path.open("rb") as file:
            self._do("uploading its code", lambda: self._session.client("s3").put_object(
                Bucket=bucket, Key=key, Body=file
            ))  # fmt: skip
        return {"S3Bucket": bucket, "S3Key": key}

    def _get(self) -> Any:
        try:
            return self._client.get_function(FunctionName=self._name)
        except AWS_ERRORS as error:
            if code_of(error) == "ResourceNotFoundException":
                return None
            raise self._failed("looking for it", error) from error

    def _create(self, wanted: Mapping[str, Any]) -> None:
        code, image = self._code(), isinstance(self._deployment.code, str)
        how = {"PackageType": "Image"} if image else {"Architectures": [self._architecture()]}
        tags = self._tags
        waited_s, pause_s = 0.0, _PAUSE_S
        while True:
            self._check_leads()
            try:
                self._client.create_function(FunctionName=self._name, Code=code, Tags=tags, **wanted, **how)
                return
            except AWS_ERRORS as error:
                if code_of(error) == "ResourceConflictException":
                    return  # another one made it meanwhile, or the answer to the first try was lost
                if _NO_ROLE_YET not in str(error) or waited_s >= _ROLE_MAX_S:
                    raise self._failed("creating it", error) from error
            self._sleep(pause_s)
            waited_s, pause_s = waited_s + pause_s, min(2 * pause_s, _PAUSE_MAX_S)

    def _architecture(self) -> str:
        code = self._deployment.code
        return code.architecture if isinstance(code, FunctionPackage) else "x86_64"

    def _update_code(self, found: Mapping[str, Any]) -> None:
        code = self._deployment.code
        if isinstance(code, str):
            same = found.get("Code", {}).get("ImageUri") == code
        else:
            same = found["Configuration"].get("CodeSha256") == code.sha256
        if same:
            return
        if (found["Configuration"].get("PackageType", "Zip") == "Image") != isinstance(code, str):
            raise CloudError(
                f"function {self._name}: a zip cannot become an image, nor the other way: delete it first, "
                f"aws lambda delete-function --function-name {self._name}"
            )
        how = {} if isinstance(code, str) else {"Architectures": [code.architecture]}
        self._check_leads()
        self._do("updating its code", lambda: self._client.update_function_code(
            FunctionName=self._name, **self._code(), **how
        ))  # fmt: skip
        self._until_ready()

    def _update_configuration(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        def same(key: str) -> bool:
            if key == "Environment":  # an error instead of variables where they cannot be read
                return bool(found.get(key, {}).get("Variables") == wanted[key]["Variables"])
            return bool(found.get(key) == wanted[key])

        if not all(same(key) for key in wanted):
            self._check_leads()
            self._do("updating it", lambda: self._client.update_function_configuration(
                FunctionName=self._name, **wanted
            ))  # fmt: skip

    def _reserve(self, reserved: int | None) -> None:
        wanted = self._deployment.concurrency_max
        if reserved == wanted:
            return
        self._check_leads()
        try:
            self._client.put_function_concurrency(FunctionName=self._name, ReservedConcurrentExecutions=wanted)
        except AWS_ERRORS as error:
            if "UnreservedConcurrentExecution" in str(error):
                raise QuotaExceeded(
                    f"function {self._name}: the account cannot reserve {wanted} functions at once; lower "
                    "concurrency_max, or ask AWS for more: aws service-quotas request-service-quota-increase "
                    "--service-code lambda --quota-code L-B99A9384 --desired-value 1000"
                ) from error
            raise self._failed("reserving its concurrency", error) from error

    def _until_ready(self) -> None:
        waited_s, pause_s = 0.0, _PAUSE_S
        while True:
            found = self._do("waiting for it", lambda: self._client.get_function_configuration(FunctionName=self._name))
            state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
            if state == "Failed" or update == "Failed":
                why = found.get("StateReason") or found.get("LastUpdateStatusReason") or "AWS does not say why"
                raise CloudError(f"function {self._name} failed: {why}")
            if state != "Pending" and update != "InProgress":
                return
            if waited_s >= _READY_MAX_S:
                raise CloudError(f"function {self._name} is still {state}, its update {update}, after {waited_s:.0f} s")
            self._sleep(pause_s)
            waited_s, pause_s = waited_s + pause_s, min(1.5 * pause_s, _PAUSE_MAX_S)

    def _do(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (*AWS_ERRORS, OSError) as error:
            raise self._failed(what, error) from error

    def _failed(self, what: str, error: Exception) -> CloudError:
        if isinstance(error, OSError):
            return CloudError(f"function {self._name}: {what}: {error}")
        return translated(error, f"function {self._name}: {what}")


def _check_owned(name: str, found: Mapping[str, Any], settings: AwsSettings) -> None:
    """Refuse to touch what has the name but not the tag."""
    owner = found.get("Tags", {}).get(CLUSTER)
    if owner != settings.cluster:
        raise CloudError(
            f"function {name} exists and is not tagged {CLUSTER}={settings.cluster}: it belongs to another; rename "
            "the cluster or the model, or delete the function"
        )
