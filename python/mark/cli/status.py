"""`mark status`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import grpc
import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

from mark.errors import Unavailable
from mark.protocol import messages

__all__ = ["status"]


def status(
    address: Annotated[str, typer.Argument(help="host:port of a router.")] = "127.0.0.1:8001",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Show models, SLO, fleet and cost of a running router on one screen.

    Example: mark status localhost:8001
    """
    report = _fetch(address)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    console = Console()
    if report["following"]:
        console.print("another router leads this cluster, or its lease is not over: this one serves, launches nothing")
    counts = report.get("ingress", {})
    if "connections" in counts:
        console.print(_ingress_line(counts))
    if "traced_requests" in counts:
        console.print(_traces_line(counts))
    for model in report.get("models", []):
        console.print(_table_of(model))
        for instance in model.get("instances", []):
            taken = f"  taken away in {instance['taken_in_s']:.0f} s" if "taken_in_s" in instance else ""
            console.print(
                f"  {instance['id']}  {instance['offering']} ({instance['market']})  {instance['state']}  "
                f"{instance['age_s']:.0f} s  ${instance['cost_usd']:.6f}{taken}"
            )
        for worker in model.get("workers", []):
            console.print(
                f"  worker {worker['address']}  {worker['correction']:.2f} x its profile"
                + ("  ejected" if worker["ejected"] else "")
            )
        console.print(f"  {model['last_decision']}" if model["last_decision"] else "  no decision yet")


def _fetch(address: str) -> dict[str, Any]:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(messages.GET_STATUS)
        try:
            answer = call(messages.StatusRequest().SerializeToString(), timeout=5.0)
        except grpc.RpcError as error:
            raise Unavailable(f"no mark router answers at {address}: {error.code().name}: {error.details()}") from error
    return MessageToDict(
        messages.StatusResponse.FromString(answer),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )


def _ingress_line(counts: dict[str, str]) -> str:
    """What reached the native ingress, and what it turned away."""
    turned_away = {
        "connections beyond the limit": "connections_refused",
        "hostile connections": "connections_hostile",
        "connections too slow": "connections_too_slow",
        "messages too large": "messages_refused",
    }
    away = ", ".join(f"{counts[key]} {words}" for words, key in turned_away.items() if int(counts[key]))
    return (
        f"ingress: {counts['connections_open']} connections open, {counts['calls']} calls, "
        f"{counts['calls_cancelled']} of them cancelled" + (f"; turned away: {away}" if away else "")
    )


def _traces_line(counts: dict[str, str]) -> str:
    """What tracing told of sampled requests, and what it could not tell."""
    lost = {"not taken by the receiver": "traced_spans_failed", "dropped for want of room": "traced_spans_dropped"}
    words = ", ".join(f"{counts[key]} {why}" for why, key in lost.items() if int(counts[key]))
    exported = f"traces: {counts['traced_requests']} requests, {counts['traced_spans_exported']} spans exported"
    return exported + (f"; lost: {words}" if words else "")


def _table_of(model: dict[str, Any]) -> Table:
    slo = model["slo"]
    table = Table(title=f"{model['name']} version {model['version']}", show_header=False, title_justify="left")
    table.add_row("promise", f"{slo['sl_min']:.1%} within {slo['rt_max_ms']:g} ms")
    table.add_row("attainment", f"{model['attainment']:.3%} of {model['submitted']} requests")
    latency = model["latency_ms"]
    table.add_row("latency ms", f"p50 {latency['p50']:.1f}   p98 {latency['p98']:.1f}   p99 {latency['p99']:.1f}")
    table.add_row(
        "rows/s",
        f"load {model['load_per_s']:.1f}   forecast {model['forecast_per_s']:.1f}   "
        f"capacity {model['capacity_per_s']:.1f}",
    )
    table.add_row("now", f"{model['queued']} queued, {model['in_flight']} in flight")
    padded = f", {model['padded_rows']} rows of padding in all" if int(model["padded_rows"]) else ""
    table.add_row("batches", f"{model['batches']}, {model['rows_per_batch']:.1f} rows on average{padded}")
    if "bursts" in model:
        _add_bursts(table, model["bursts"])
    table.add_row("cost", f"${model['cost_usd']:.6f} so far, ${model['cost_usd_per_hour']:.4f} an hour")
    if "budget" in model:
        stage = model["budget"]["stage"].replace("_", " ")
        table.add_row("budget", f"${model['budget']['allowed_usd_per_hour']:.4f} an hour allowed; stage: {stage}")
    return table


def _add_bursts(table: Table, bursts: dict[str, Any]) -> None:
    verdicts, ended = bursts["verdicts"], bursts["ended"]
    refused = {name.replace("_", " "): int(count) for name, count in verdicts.items() if name != "send"}
    reasons = ", ".join(f"{count} {name}" for name, count in refused.items() if count)
    table.add_row(
        "bursts",
        f"{verdicts['send']} sent, {ended['answered']} answered in time, {ended['late']} late, "
        f"{bursts['in_flight']} in flight; {sum(refused.values())} not sent" + (f" ({reasons})" if reasons else ""),
    )
    breaker = bursts["breaker"].replace("_", " ")
    table.add_row(
        "functions",
        f"{bursts['functions_warm']} warm of {bursts['functions']}, {bursts['cold_starts']} cold starts, "
        f"breaker {breaker}, ${bursts['cost_usd']:.6f} so far, ${bursts['cost_usd_last_hour']:.6f} in the last hour",
    )
