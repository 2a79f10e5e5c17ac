"""What batches take on a worker process, on the processor and on CUDA, and what MArk's constraints make of it.

Figures for a person: pytest bench/bench_worker_latency.py -s
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from bench.models.inception_shaped import IMAGE_SHAPE, InceptionShaped
from bench.models.served import MODELS, ServedModel
from pytest_benchmark.fixture import BenchmarkFixture

from mark import app
from mark.cli.profile_report import ProfileReport
from mark.domain.measured_profile import MeasuredModel
from mark.domain.slo import Slo
from mark.policies.batching_advice import batching_advice
from mark.worker.measuring import Effort

torch = pytest.importorskip("torch")

GIGA = 1e9
EFFORT = Effort(time_max_s=8.0)
ONCE = Effort(runs_min=1, runs_max=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("models")


def skip_without(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device here")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_batches_on_a_worker(name: str, device: str, folder: Path, benchmark: BenchmarkFixture) -> None:
    skip_without(device)
    served = MODELS[name]
    source = folder / f"{name}.pt"
    if not source.exists():
        served.export(folder)
    config = served.config(source, f"device: {device}", rows_max=None if benchmark.enabled else 1)
    options = app.ProfileOptions(effort=EFFORT if benchmark.enabled else ONCE)

    measured: MeasuredModel = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: asyncio.run(app.measure_model(config, config.models[0], options)), rounds=1
    )

    report = ProfileReport(config.models[0], measured, config.offerings, (), options.effort)
    benchmark.extra_info.update(report.as_dict()["workers"][0])
    print_report(report)
    check_constraints(served, measured, config.models[0].batching.margin_ms)


def print_report(report: ProfileReport) -> None:
    for worker in report.as_dict()["workers"]:
        print(f"\n{report.model.name} on {worker['device']}, rt_max_ms {report.model.slo.rt_max_ms:g}")
        for batch in worker["batches"]:
            print(
                f"  {batch['rows']:3} rows: p50 {batch['p50_ms']:8.2f}  p99 {batch['p99_ms']:8.2f} ms  "
                f"{batch['rows_per_s']:8.1f} rows/s  {batch['runs']} runs"
            )
        print(f"  N_batch {worker['n_batch']}, W_batch {worker['w_batch_ms']} ms; {worker['verdict']}")


def check_constraints(served: ServedModel, measured: MeasuredModel, margin_ms: float) -> None:
    """Whatever the machine: what is said of the profile keeps MArk's two constraints, or says that nothing does."""
    (profile,) = measured.profiles
    config_rows = profile.profile.rows[-1]
    slo_ms = served.rt_max_ms - margin_ms
    advice = batching_advice(profile.profile, Slo(served.rt_max_ms, 0.98), margin_ms, config_rows)
    latencies = {point.rows: point.latency_ms for point in profile.profile.points}
    assert list(latencies.values()) == sorted(latencies.values())
    if advice.n_batch is None or advice.w_batch_ms is None:
        assert latencies[1] > slo_ms
        return
    if advice.n_batch in latencies:  # others lie between two measured ones
        taken_ms = advice.w_batch_ms + latencies[advice.n_batch]
        assert taken_ms <= slo_ms + 1e-3
        assert taken_ms <= advice.n_batch * latencies[1] + 1e-3


def test_the_inception_shaped_network_costs_what_the_published_one_does() -> None:
    network = InceptionShaped().eval()
    multiplications = 0

    def count(module: Any, inputs: Any, output: Any) -> None:
        nonlocal multiplications
        multiplications += output[0].numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    with torch.inference_mode():
        output = network(torch.zeros(1, *IMAGE_SHAPE))

    assert output.shape == (1, 1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_834_568
    assert multiplications / GIGA == pytest.approx(5.71, abs=0.02)
