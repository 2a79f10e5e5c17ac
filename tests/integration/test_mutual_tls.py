"""Mutual TLS between router and worker, over real sockets: who is let in, and how certificates are replaced."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc.aio
import numpy as np
import pytest
from integration.router_process import environment
from integration.tls_files import authority, router_identity, worker_folder

from mark._core import write_infer_request
from mark.domain.artifact import ModelArtifact, artifact_to_json
from mark.domain.signature import ModelSignature, TensorSpec
from mark.domain.tls import TlsIdentity
from mark.errors import CloudError
from mark.live.worker_link import LinkFailed, WorkerLink
from mark.protocol.certificates import Role
from mark.protocol.service import make_server
from mark.protocol.tls import KEY, TlsFolder
from mark.worker.servicer import WorkerService
from mark.worker.throttle import CpuShare

SIGNATURE = ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1, 4)),), (TensorSpec("y", "FP32", (-1, 4)),), 8)
REQUEST = write_infer_request("m", "", "", [("x", "FP32", (1, 4), np.ones((1, 4), np.float32))], [])
TIMEOUT_S = 10.0
REFUSED_S = 0.5
PATIENCE_S = 60.0  # with a process

OURS = authority()
IDENTITY = router_identity(OURS)


@asynccontextmanager
async def serving(folder: Path, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    service = WorkerService(SIGNATURE, lambda inputs: {"y": inputs["x"]}, CpuShare(1.0, 1))
    server, address = await make_server(address, service, credentials=TlsFolder(folder).server_credentials())
    await server.start()
    try:
        yield address
    finally:
        await server.stop(None)
        service.close()


@asynccontextmanager
async def linked(address: str, tls: Callable[[], TlsIdentity]) -> AsyncIterator[WorkerLink]:
    async with WorkerLink(address, "m", "1", tls) as link:
        await asyncio.wait_for(link.wait_ready(), TIMEOUT_S)
        yield link


async def refusal(address: str, identity: TlsIdentity, words: str = "") -> str:
    """Why a worker cannot be reached, in the link's words, once these are among them."""
    deadline_s = time.monotonic() + TIMEOUT_S
    async with WorkerLink(address, "m", "1", lambda: identity) as link:
        unasked = link.last_probe
        while True:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(link.wait_ready(), REFUSED_S)
            with pytest.raises(LinkFailed):
                await link.send(REQUEST, REFUSED_S)
            if link.last_probe != unasked and words in link.last_probe:
                return link.last_probe
            # A busy machine takes longer to shake hands.
            assert time.monotonic() < deadline_s, link.last_probe


async def test_a_router_of_the_cluster_is_served(tmp_path: Path) -> None:
    async with serving(worker_folder(tmp_path / "tls", OURS)) as address, linked(address, lambda: IDENTITY) as link:
        assert await link.send(REQUEST, TIMEOUT_S)


async def test_who_shows_no_certificate_or_speaks_without_tls_is_refused(tmp_path: Path) -> None:
    async with serving(worker_folder(tmp_path / "tls", OURS)) as address:
        nameless = grpc.ssl_channel_credentials(IDENTITY.authorities_pem)
        options = [("grpc.ssl_target_name_override", IDENTITY.peer_name)]
        for channel in (grpc.aio.secure_channel(address, nameless, options), grpc.aio.insecure_channel(address)):
            async with channel:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(REQUEST, timeout=REFUSED_S)
                assert refused.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@pytest.mark.parametrize(
    "identity",
    [
        router_identity(authority("other"), OURS),
        router_identity(authority(), OURS),
        # A worker's certificate is no router's: one that was taken over cannot call the others.
        replace(router_identity(OURS), certificate_pem=b""),
    ],
    ids=["another cluster's", "another authority of the same name", "a worker's"],
)
async def test_a_router_that_is_none_of_the_cluster_is_refused(
    tmp_path: Path, identity: TlsIdentity, caplog: pytest.LogCaptureFixture
) -> None:
    folder = worker_folder(tmp_path / "tls", OURS)
    if not identity.certificate_pem:
        identity = replace(
            identity, certificate_pem=(folder / "certificate.pem").read_bytes(), key_pem=(folder / KEY).read_bytes()
        )
    with caplog.at_level(logging.DEBUG):
        async with serving(folder) as address:
            words = await refusal(address, identity)
    assert words.startswith(("UNAVAILABLE", "DEADLINE_EXCEEDED"))
    assert "PRIVATE KEY" not in words + caplog.text


@pytest.mark.parametrize(
    ("whose", "words"),
    [
        ("another cluster's", "CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate"),
        ("another name", "Hostname Verification Check failed"),
        ("a router's", "CERTIFICATE_VERIFY_FAILED: unsupported certificate purpose"),
    ],
)
async def test_a_worker_that_is_none_of_the_cluster_is_not_sent_to(tmp_path: Path, whose: str, words: str) -> None:
    folder = tmp_path / "tls"
    if whose == "another cluster's":
        worker_folder(folder, authority("other"), OURS)
    elif whose == "another name":
        worker_folder(folder, OURS, cluster="other")
    else:
        worker_folder(folder, OURS, role=Role.ROUTER)
    async with serving(folder) as address:
        assert words in await refusal(address, IDENTITY, words)


class Load:
    """Requests one after the other through each of its links, until it is ended; none may fail."""

    def __init__(self) -> None:
        self.answered = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = False

    def through(self, link: WorkerLink) -> None:
        self._tasks.append(asyncio.create_task(self._send(link)))

    async def more(self, count: int) -> None:
        await asyncio.wait_for(self._reach(self.answered + count), TIMEOUT_S)

    async def _reach(self, wanted: int) -> None:
        while self.answered < wanted:
            await asyncio.sleep(0)
            for task in self._tasks:
                assert not task.done(), task.exception()

    async def end(self) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)

    async def _send(self, link: WorkerLink) -> None:
        while not self._ending:
            assert await link.send(REQUEST, TIMEOUT_S)
            self.answered += 1


async def test_certificates_and_authority_are_replaced_under_load_and_no_request_is_lost(tmp_path: Path) -> None:
    new = authority()
    folder = worker_folder(tmp_path / "tls", OURS)
    steps: list[tuple[Callable[[], object], TlsIdentity]] = [
        (lambda: worker_folder(folder, OURS), router_identity(OURS)),  # new certificates of the same authority
        (lambda: worker_folder(folder, OURS, new), router_identity(OURS)),  # workers trust both
        (lambda: None, router_identity(OURS, new)),  # routers do too
        (lambda: worker_folder(folder, new, OURS), router_identity(OURS, new)),
        (lambda: None, router_identity(new, OURS)),
        (lambda: worker_folder(folder, new), router_identity(new)),  # the old one is gone
    ]
    load, links = Load(), []
    async with serving(folder) as address:
        steps.insert(0, (lambda: None, IDENTITY))
        for replace_files, identity in steps:
            replace_files()
            link = WorkerLink(address, "m", "1", partial(replace, identity))
            links.append(link)
            await asyncio.wait_for(link.wait_ready(), TIMEOUT_S)
            load.through(link)
            await load.more(20)
        await load.end()
        assert load.answered >= 20 * len(links)
        assert await refusal(address, router_identity(OURS, new))  # the old authority is trusted no more
        for link in links:
            await link.close()


async def test_a_link_that_has_to_connect_again_shows_what_holds_by_then(tmp_path: Path) -> None:
    new = authority()
    folder = worker_folder(tmp_path / "tls", OURS)
    shown = [IDENTITY]
    async with serving(folder) as address:
        link = WorkerLink(address, "m", "1", lambda: shown[0])
        await asyncio.wait_for(link.wait_ready(), TIMEOUT_S)
    worker_folder(folder, new)
    shown[0] = router_identity(new)
    async with link, serving(folder, address):
        with pytest.raises(LinkFailed):
            await link.send(REQUEST, REFUSED_S)
        await asyncio.wait_for(link.wait_ready(), TIMEOUT_S)
        assert await link.send(REQUEST, TIMEOUT_S)


async def test_a_router_without_a_certificate_yet_asks_again(tmp_path: Path) -> None:
    tries: list[int] = []

    def identity() -> TlsIdentity:
        tries.append(1)
        if len(tries) == 1:
            raise CloudError("no bucket")
        return IDENTITY

    folder = worker_folder(tmp_path / "tls", OURS)
    async with serving(folder) as address, WorkerLink(address, "m", "1", identity) as link:
        with pytest.raises(LinkFailed, match="not asked yet"):
            await link.send(REQUEST, REFUSED_S)
        await asyncio.wait_for(link.wait_ready(), TIMEOUT_S)
        assert len(tries) >= 2


def start(folder: Path, tls: Path) -> subprocess.Popen[str]:
    artifact = ModelArtifact(replace(SIGNATURE, name="doubler"), "python", "doubler_model:make")
    return subprocess.Popen(
        [
            sys.executable, "-m", "mark.worker", "--artifact", artifact_to_json(artifact), "--address", "127.0.0.1:0",
            "--tls-folder", str(tls),
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(folder),
    )  # fmt: skip


async def test_a_worker_process_reads_what_replaces_its_files(tmp_path: Path) -> None:
    tls = worker_folder(tmp_path / "tls", OURS)
    process = start(tmp_path, tls)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip().rpartition(" at ")[2]
        async with linked_as(address, IDENTITY):
            new = authority()
            worker_folder(tls, new)
            async with linked_as(address, router_identity(new)):
                pass
        assert await refusal(address, IDENTITY, "CERTIFICATE_VERIFY_FAILED")
    finally:
        process.terminate()
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    # It may look between the first file and the last, and then says that they do not belong together.
    assert [line for line in stderr.splitlines() if "what was read before stays in use" not in line] == []


@asynccontextmanager
async def linked_as(address: str, identity: TlsIdentity) -> AsyncIterator[WorkerLink]:
    async with WorkerLink(address, "doubler", "1", lambda: identity) as link:
        await asyncio.wait_for(link.wait_ready(), TIMEOUT_S)
        yield link


def test_a_worker_process_whose_files_are_bad_says_which(tmp_path: Path) -> None:
    tls = worker_folder(tmp_path / "tls", OURS)
    (tls / KEY).write_bytes(b"")
    shutil.copy(tls / "certificate.pem", tls / "authorities.pem")

    process = start(tmp_path, tls)
    _, stderr = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 2
    assert stderr == f"mark worker: {tls / KEY}: holds no private key in PEM that is not encrypted\n"
