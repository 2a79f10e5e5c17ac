"""`mark load` over TLS, with either client, against a server that asks its clients for a certificate."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integration.tls_files import CLUSTER, authority, worker_folder
from rich.console import Console

from mark import _core
from mark.cli.load import load
from mark.cli.load_run import LoadClient, send, sending_of
from mark.client import AsyncClient, Client
from mark.domain.signature import ModelSignature, TensorSpec
from mark.domain.tls import TlsIdentity
from mark.errors import ConfigError, Unavailable
from mark.protocol.certificates import Role, peer_name
from mark.protocol.service import make_server
from mark.protocol.tls import AUTHORITIES, CERTIFICATE, KEY, TlsFolder, read_client_identity
from mark.worker.servicer import WorkerService
from mark.worker.throttle import CpuShare
from mark.workload.native_load import NativeLoad
from mark.workload.report import OK

SIGNATURE = ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1, 4)),), (TensorSpec("y", "FP32", (-1, 4)),), 8)
OURS = authority()
THEIRS = authority("other")
NAME = peer_name(Role.WORKER, CLUSTER)
CLIENTS = [
    pytest.param(LoadClient.GRPCIO, id="grpcio"),
    pytest.param(
        LoadClient.NATIVE,
        id="native",
        marks=pytest.mark.skipif(not _core.native_available, reason="built without the native data plane"),
    ),
]


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    service = WorkerService(SIGNATURE, lambda inputs: {"y": inputs["x"]}, CpuShare(1.0, 1))
    credentials = TlsFolder(worker_folder(tmp_path / "server", OURS)).server_credentials()
    server, bound = await make_server("127.0.0.1:0", service, credentials=credentials)
    await server.start()
    yield bound
    await server.stop(None)
    service.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A client's files."""
    return worker_folder(tmp_path / "client", OURS, role=Role.ROUTER)


def identity(files: Path) -> TlsIdentity:
    return read_client_identity(files / AUTHORITIES, files / CERTIFICATE, files / KEY, NAME)


async def statuses(address: str, client: LoadClient, tls: TlsIdentity | None) -> set[str]:
    sending = sending_of(
        client, None, None, instants_s=np.linspace(0.0, 0.1, 20), duration_s=0.1, deadline_ms=5_000, tls=tls
    )
    report = await send(address, ("m", 1, 0), sending, Console(file=io.StringIO()))
    assert len(report.statuses) == 20
    return set(report.statuses)


@pytest.mark.parametrize("client", CLIENTS)
async def test_every_request_is_answered(address: str, files: Path, client: LoadClient) -> None:
    assert await statuses(address, client, identity(files)) == {OK}


@pytest.mark.parametrize("client", CLIENTS)
async def test_who_trusts_another_authority_says_so_at_once(
    address: str, tmp_path: Path, files: Path, client: LoadClient
) -> None:
    theirs = worker_folder(tmp_path / "theirs", THEIRS, cluster="other") / AUTHORITIES
    tls = read_client_identity(theirs, files / CERTIFICATE, files / KEY, NAME)

    with pytest.raises(Unavailable):
        await statuses(address, client, tls)


@pytest.mark.skipif(not _core.native_available, reason="built without the native data plane")
async def test_the_native_client_alone_is_refused_without_a_certificate(address: str, files: Path) -> None:
    tls = read_client_identity(files / AUTHORITIES, peer_name=NAME)
    report = await NativeLoad(address, [b""], deadline_ms=5_000, tls=tls).run(np.zeros(3))

    assert report.statuses == ("Unavailable",) * 3


@pytest.mark.parametrize("client", CLIENTS)
async def test_without_tls_it_is_refused(address: str, client: LoadClient) -> None:
    with pytest.raises(Unavailable):
        await statuses(address, client, None)


async def test_both_clients_of_the_library_connect_over_tls(address: str, files: Path) -> None:
    tls = identity(files)
    async with AsyncClient(address, tls=tls) as client:
        assert (await client.model_metadata("m")).inputs == SIGNATURE.inputs
    with Client(address, tls=tls) as blocking:
        assert (await asyncio.to_thread(blocking.model_metadata, "m")).inputs == SIGNATURE.inputs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tls_key": Path("key.pem")}, "--tls-key: needs --tls-ca"),
        ({"tls_certificate": Path("certificate.pem")}, "--tls-certificate: needs --tls-ca"),
        ({"tls_name": "worker"}, "--tls-name: needs --tls-ca"),
        ({"tls_ca": Path("ca.pem"), "tls_key": Path("key.pem")}, "give both, or none"),
        ({"tls_ca": Path("nowhere/ca.pem")}, "cannot read nowhere/ca.pem: No such file"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load("localhost:1", "m", **options)


def test_files_that_are_wrong_are_named(files: Path) -> None:
    other = worker_folder(files.parent / "another", OURS)

    with pytest.raises(ConfigError, match=f"{files / KEY}: holds no certificate in PEM"):
        read_client_identity(files / KEY)
    with pytest.raises(ConfigError, match=f"{files / CERTIFICATE} and {other / KEY} do not belong together"):
        read_client_identity(files / AUTHORITIES, files / CERTIFICATE, other / KEY)
    with pytest.raises(ConfigError, match=f"{files / CERTIFICATE}: holds no private key"):
        read_client_identity(files / AUTHORITIES, files / CERTIFICATE, files / CERTIFICATE)
