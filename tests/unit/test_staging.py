"""Staging for CUDA: the copies and their order without a device, and the real thing where there is one."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mark.domain.artifact import ModelArtifact
from mark.domain.device import Device
from mark.domain.signature import ModelSignature, TensorSpec
from mark.worker.runtimes import load_model
from mark.worker.runtimes.staging import Staging

torch = pytest.importorskip("torch")

NO_CUDA = "this machine has no CUDA device that torch can use"


class InOrder:
    """Streams of a machine without a device: everything happens at once, and what was asked for is kept."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.made: list[int] = []

    def pinned(self, size: int) -> Any:
        self.made.append(size)
        return torch.zeros(size, dtype=torch.uint8)

    on_device = pinned

    @contextlib.contextmanager
    def copying(self) -> Iterator[None]:
        self.asked.append("copy")
        yield

    def copies_before_computing(self) -> None:
        self.asked.append("copies first")

    def computing_before_copies(self) -> None:
        self.asked.append("computing first")

    def wait_for_copies(self) -> None:
        self.asked.append("wait")


@pytest.fixture
def streams() -> InOrder:
    return InOrder()


@pytest.mark.parametrize("chunk_bytes", [1, 24, 1 << 20])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, np.bool_, np.float16])
def test_what_is_sent_and_fetched_is_what_was_given(streams: InOrder, chunk_bytes: int, dtype: type) -> None:
    staging = Staging(torch, streams, chunk_bytes)
    x: npt.NDArray[Any] = (np.arange(7 * 3).reshape(7, 3) % 2).astype(dtype)
    y = np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3))

    sent = staging.send({"y": y, "x": x}, ["x", "y"])
    fetched = staging.fetch(sent)

    np.testing.assert_array_equal(fetched[0], x)
    np.testing.assert_array_equal(fetched[1], y)
    assert fetched[0].dtype == x.dtype


def test_computing_waits_for_its_inputs_and_copying_back_for_the_outputs(streams: InOrder) -> None:
    staging = Staging(torch, streams)

    staging.fetch(staging.send({"x": np.zeros((1, 2))}, ["x"]))

    assert streams.asked == ["copy", "copies first", "computing first", "copy", "computing first", "wait"]


def test_buffers_are_kept_and_grow_only(streams: InOrder) -> None:
    staging = Staging(torch, streams)
    for rows in (2, 1, 4, 3, 4):
        x = np.full((rows, 4), rows, dtype=np.float32)
        np.testing.assert_array_equal(staging.fetch(staging.send({"x": x}, ["x"]))[0], x)

    assert streams.made == [32, 32, 32, 64, 64, 64]  # pinned and on the device for the input, pinned for the output


def test_a_batch_whose_model_raised_is_waited_for_before_its_buffers_are_written(streams: InOrder) -> None:
    staging = Staging(torch, streams)
    staging.send({"x": np.zeros((1, 2))}, ["x"])
    streams.asked.clear()

    staging.send({"x": np.ones((1, 2))}, ["x"])

    assert streams.asked[:3] == ["computing first", "wait", "copy"]


def test_outputs_that_are_no_contiguous_tensors_are_fetched_whole(streams: InOrder) -> None:
    staging = Staging(torch, streams)
    (x,) = staging.send({"x": np.arange(6, dtype=np.float32).reshape(2, 3)}, ["x"])

    np.testing.assert_array_equal(staging.fetch([x.t()])[0], np.arange(6).reshape(2, 3).T)


@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)
class TestOnCuda:
    @pytest.fixture
    def source(self, tmp_path: Path) -> str:
        network = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.ReLU(), torch.nn.Linear(512, 8)).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.save(torch.jit.trace(network, torch.zeros(1, 512)), str(tmp_path / "model.pt"))
        return str(tmp_path / "model.pt")

    def test_it_answers_as_the_processor_does_batch_after_batch(self, source: str) -> None:
        signature = ModelSignature(
            "m", "1", (TensorSpec("x", "FP32", (-1, 512)),), (TensorSpec("y", "FP32", (-1, 8)),), rows_max=4096
        )
        artifact = ModelArtifact(signature, "torchscript", source)
        on_cuda, on_cpu = load_model(artifact, 1, Device("cuda")), load_model(artifact, 1)
        random = np.random.default_rng(3)
        for rows in (1, 4096, 7, 1024, 1, 4096):
            x = random.standard_normal((rows, 512)).astype(np.float32)
            np.testing.assert_allclose(on_cuda({"x": x})["y"], on_cpu({"x": x})["y"], rtol=1e-3, atol=1e-3)
