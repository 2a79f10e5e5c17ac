"""`mark worker`."""

from __future__ import annotations

import enum
import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from mark.cli.option_checks import check_within
from mark.domain.artifact import ModelArtifact, artifact_from_json
from mark.domain.device import Device, device_of
from mark.errors import ConfigError

__all__ = ["Ingress", "Runtime", "worker"]


_ROWS_MAX = 65_536
_THREADS_MAX = 1024
_PORT_MAX = 65_535
_METRICS_PORT = (
    "Serve metrics to Prometheus at this port of the address's host; 0 for a free one. With --tls-folder, or a unix "
    "address, to this machine alone."
)
# The batch dimension, then sizes that fit into 31 bits, or -1 for any.
_TENSOR = re.compile(r"(?P<name>[^:]+):(?P<datatype>[^:]+):(?P<shape>-1(,(-1|[1-9][0-9]{0,8}))*)")


class Runtime(enum.Enum):
    """What runs the model."""

    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"
    PYTHON = "python"


class Ingress(enum.Enum):
    """What speaks HTTP/2."""

    NATIVE = "native"
    GRPCIO = "grpcio"


def worker(  # noqa: PLR0913, PLR0917 - every parameter is an option of the command line
    source: Annotated[str, typer.Argument(help="The model's file, or package.module:factory.")],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    inputs: Annotated[str, typer.Option("--input", help="Inputs as name:DATATYPE:-1,sizes; several by spaces.")],
    outputs: Annotated[str, typer.Option("--output", help="Outputs, written as the inputs.")],
    runtime: Annotated[Runtime, typer.Option(help="What runs the model.")] = Runtime.TORCHSCRIPT,
    version: Annotated[str, typer.Option(help="Version of the model.")] = "1",
    address: Annotated[str, typer.Option(help="host:port, port 0 for a free one, or unix:/path.")] = "127.0.0.1:8002",
    rows_max: Annotated[int, typer.Option(help="Rows in one request.")] = 32,
    threads: Annotated[int, typer.Option(help="Compute threads.")] = 1,
    cpu_share: Annotated[float, typer.Option(help="Share of the machine to use, in (0, 1].")] = 1.0,
    device: Annotated[str, typer.Option(help="What to compute on: cpu, cuda or cuda:N.")] = "cpu",
    tls_folder: Annotated[
        Path | None,
        typer.Option(
            help="Mutual TLS by certificate.pem, key.pem and authorities.pem in it; read anew as they change."
        ),
    ] = None,
    metrics_port: Annotated[int | None, typer.Option(help=_METRICS_PORT, show_default=False)] = None,
    ingress: Annotated[
        Ingress | None, typer.Option(help="What speaks HTTP/2; native where it was built.", show_default=False)
    ] = None,
    trace_endpoint: Annotated[
        str | None, typer.Option(help="Where spans of sampled requests go: OTLP over gRPC, http://host:port.")
    ] = None,
    trace_share: Annotated[
        float, typer.Option(help="Of the requests whose clients do not trace them, in [0, 1].")
    ] = 0.0,
    trace_service: Annotated[str, typer.Option(help="As which the spans name this process.")] = "mark-worker",
) -> None:
    """Serve one model in this process over the Open Inference Protocol, until Ctrl-C or SIGTERM.

    `mark demo` leaves the model of this example behind.

    Example: mark worker mark-demo/digits.pt --name digits --input image:FP32:-1,1,8,8 --output logits:FP32:-1,10
    """
    check_within("--rows-max", rows_max, 1, _ROWS_MAX)
    check_within("--threads", threads, 1, _THREADS_MAX)
    if metrics_port is not None:
        check_within("--metrics-port", metrics_port, 0, _PORT_MAX)
    placed = _placed(device)
    from mark.worker.main import DEFAULT_INGRESS, WorkerOptions, run_worker, tracing_params

    source = source if runtime is Runtime.PYTHON else str(Path(source))
    artifact = _artifact(
        {
            "signature": {
                "name": name,
                "version": version,
                "inputs": _tensors("--input", inputs),
                "outputs": _tensors("--output", outputs),
                "rows_max": rows_max,
            },
            "runtime": runtime.value,
            "source": source,
        }
    )
    run_worker(
        WorkerOptions(
            artifact,
            address=address,
            threads=threads,
            cpu_share=cpu_share,
            device=placed,
            tls_folder=tls_folder,
            metrics_port=metrics_port,
            ingress=DEFAULT_INGRESS if ingress is None else ingress.value,
            tracing=tracing_params(trace_endpoint, trace_share, trace_service),
        )
    )


def _placed(device: str) -> Device:
    try:
        return device_of(device)
    except ValueError as error:
        raise ConfigError(f"--{error}") from error


def _artifact(data: dict[str, Any]) -> ModelArtifact:
    return artifact_from_json(json.dumps(data))


def _tensors(option: str, text: str) -> list[dict[str, Any]]:
    tensors = []
    for tensor in text.split():
        form = _TENSOR.fullmatch(tensor)
        if form is None:
            raise ConfigError(f"{option} {tensor!r}: must have the form name:DATATYPE:-1,size,size")
        shape = [int(size) for size in form["shape"].split(",")]
        tensors.append({"name": form["name"], "datatype": form["datatype"], "shape": shape})
    names = [tensor["name"] for tensor in tensors]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"{option} {text!r}: must name one tensor or more, each with a name of its own")
    return tensors
