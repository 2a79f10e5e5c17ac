"""What is compared: mark's worker, mark's router with a local worker, and the peers; how each of them is started."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.peers import mlp
from bench.peers.environments import Environment
from bench.peers.mlp import FEATURES, NAME, OUTPUTS, ROWS_MAX
from bench.peers.processes import NotServing, free_port
from bench.peers.wires import JSON, OIP, RAW, Wire

__all__ = ["SUBJECTS", "Launch", "Place", "Subject"]

ROOT = Path(__file__).resolve().parents[2]
_SERVERS = Path(__file__).resolve().parent / "servers"
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is to run.

    Attributes:
        folder: its own, empty at first and removed after it.
        port: of its own.
        environment: that it is installed in; None for mark.
        ingress: that mark is told to use; None for its default.
    """

    folder: Path
    port: int
    environment: Environment | None = None
    ingress: str | None = None

    @property
    def python(self) -> str:
        """The interpreter that it runs in."""
        return self.environment.python if self.environment else sys.executable


@dataclass(frozen=True, slots=True)
class Launch:
    """The command of a server, and what its environment has beside what all have."""

    command: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """A server in the comparison.

    Attributes:
        name: in tables and on the command line.
        wire: how it is asked.
        launch: makes ready what it needs in its folder, and says how it is started.
        package: whose version is told.
        environment: that it is installed in; None for mark.
        path: to POST to, where the wire's is not its.
    """

    name: str
    wire: Wire
    launch: Callable[[Place], Launch]
    package: str
    environment: str | None = None
    path: str | None = None

    @property
    def posted_to(self) -> str:
        """The path that requests go to."""
        return self.path or self.wire.path


def variables_of(place: Place, launch: Launch) -> dict[str, str]:
    """The whole environment of a server: of this process's, a peer sees no Python path."""
    inherited = dict(os.environ)
    paths = [str(ROOT)]
    if place.environment is None:
        paths = [str(ROOT), *filter(None, [inherited.get("PYTHONPATH")])]
    else:
        inherited["PATH"] = f"{place.environment.folder / 'bin'}{os.pathsep}{inherited.get('PATH', '')}"
        inherited["VIRTUAL_ENV"] = str(place.environment.folder)
    return {**inherited, **_THREADS, "PYTHONPATH": os.pathsep.join(paths), **launch.variables}


_MARK_CONFIG = f"""\
server: {{{{port: {{port}}}}}}
offerings: [{{{{name: here, price_usd_per_hour: 0.1, max_count: 1}}}}]
models:
  - name: {NAME}
    runtime: python
    source: bench.peers.mlp:mark_model
    inputs: [{{{{name: x, datatype: FP32, shape: [-1, {FEATURES}]}}}}]
    outputs: [{{{{name: y, datatype: FP32, shape: [-1, {OUTPUTS}]}}}}]
    slo: {{{{rt_max_ms: 1000}}}}
    batching: {{{{rows_max: {ROWS_MAX}}}}}
    controller: {{{{step_s: 600, window_s: 1, min_instances: 1}}}}
"""


def _mark_worker(place: Place) -> Launch:
    ingress = ["--ingress", place.ingress] if place.ingress else []
    return Launch(
        [
            place.python, "-m", "mark", "worker", "bench.peers.mlp:mark_model", "--runtime", "python", "--name", NAME,
            "--input", f"x:FP32:-1,{FEATURES}", "--output", f"y:FP32:-1,{OUTPUTS}", "--rows-max", str(ROWS_MAX),
            "--address", f"127.0.0.1:{place.port}", *ingress,
        ]
    )  # fmt: skip


def _mark_router(place: Place) -> Launch:
    config = place.folder / "mark.yaml"
    config.write_text(_MARK_CONFIG.format(port=place.port), encoding="utf-8")
    ingress = ["--set", f"server.ingress={place.ingress}"] if place.ingress else []
    return Launch([place.python, "-m", "mark", "serve", "--log-level", "warning", str(config), *ingress])


def _mosec(place: Place) -> Launch:
    options = ["--address", "127.0.0.1", "--port", str(place.port), "--capacity", "4096", "--timeout", "10000"]
    return Launch([place.python, str(_SERVERS / "mosec_server.py"), *options, "--log-level", "warning"])


_TRITON_CONFIG = f"""\
name: "{NAME}"
backend: "python"
max_batch_size: {ROWS_MAX}
input [{{ name: "x" data_type: TYPE_FP32 dims: [{FEATURES}] }}]
output [{{ name: "y" data_type: TYPE_FP32 dims: [{OUTPUTS}] }}]
instance_group [{{ count: 1 kind: KIND_CPU }}]
dynamic_batching {{ }}
"""


def _triton(place: Place) -> Launch:
    assert place.environment is not None
    distribution = place.environment.site_packages / "pytriton" / "tritonserver"
    version = place.folder / "models" / NAME / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(_TRITON_CONFIG, encoding="utf-8")
    shutil.copy(_SERVERS / "triton_model.py", version / "model.py")
    # The backend embeds an interpreter that looks at no PYTHONPATH, but in the folder of the model.
    (version / "bench" / "peers").mkdir(parents=True)
    shutil.copy(Path(mlp.__file__), version / "bench" / "peers")
    # The server looks for the process that runs Python beside the backend's library; the wheel has one per version.
    backends = place.folder / "backends"
    shutil.copytree(distribution / "backends", backends)
    stub = distribution / "python_backend_stubs" / ".".join(platform.python_version_tuple()[:2])
    if not stub.is_dir():
        raise NotServing(f"this wheel of Triton has no Python {platform.python_version()}")
    shutil.copy(stub / "triton_python_backend_stub", backends / "python")
    libraries = [str(place.environment.site_packages / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR")]
    return Launch(
        [
            str(distribution / "bin" / "tritonserver"),
            f"--model-repository={place.folder / 'models'}", f"--backend-directory={backends}",
            "--grpc-address=127.0.0.1", f"--grpc-port={place.port}", "--allow-http=false", "--allow-metrics=false",
            "--log-info=false", "--disable-auto-complete-config",
        ],
        {"LD_LIBRARY_PATH": os.pathsep.join(libraries)},
    )  # fmt: skip


def _litserve(place: Place) -> Launch:
    return Launch([place.python, str(_SERVERS / "litserve_server.py"), str(place.port)])


def _bentoml(place: Place) -> Launch:
    return Launch(
        [
            place.python, "-m", "bentoml", "serve", "bench.peers.servers.bentoml_server:Infer", "--working-dir",
            str(ROOT), "--host", "127.0.0.1", "--port", str(place.port),
        ],
        {
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(place.folder),
            "BENTOML_CONFIG_OPTIONS": "api_server.logging.access.enabled=false",
        },
    )  # fmt: skip


def _ray(place: Place) -> Launch:
    compiled = place.folder / "protocol"
    compiled.mkdir()
    done = subprocess.run(
        [place.python, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"--python_out={compiled}",
         f"--grpc_python_out={compiled}", "open_inference_grpc.proto"],
        capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    if done.returncode != 0:
        raise NotServing(f"the protocol does not compile: {done.stderr.strip()[-300:]}")
    return Launch(
        [place.python, str(_SERVERS / "ray_server.py"), str(place.port), str(free_port()), str(place.folder / "ray")],
        {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(compiled)]),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_LOG_TO_STDERR": "0",
        },
    )


SUBJECTS = (
    Subject("mark worker", OIP, _mark_worker, "mark-serve"),
    Subject("mark router", OIP, _mark_router, "mark-serve"),
    Subject("mosec", RAW, _mosec, "mosec", "mosec"),
    Subject("triton", OIP, _triton, "nvidia-pytriton", "triton"),
    Subject("litserve", JSON, _litserve, "litserve", "litserve"),
    Subject("bentoml", JSON, _bentoml, "bentoml", "bentoml", path="/infer"),
    Subject("ray", OIP, _ray, "ray", "ray"),
)
