"""What `mark status` tells a person: a StatusResponse in lines that fit a terminal of 80 columns and 24 lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from mark.cli.top import figures
from mark.cli.top.chart import BAD
from mark.cli.top.figures import labelled, rate
from mark.cli.top.glyphs import Glyphs
from mark.cli.top.lines import Part, clean, cut, joined, wrapped
from mark.report.wording import duration, percent

__all__ = ["status_lines"]

_OFFERINGS_MAX = 3
_DECISION_LINES = 3
_STEPS_MAX = 6
_AS_FAST = 0.1  # a worker whose correction is that near to 1 is as fast as its profile
_TURNED_AWAY = {
    "connections_refused": "connections beyond the limit",
    "connections_hostile": "hostile connections",
    "connections_too_slow": "connections too slow",
    "messages_refused": "messages too large",
}
_TRACES_LOST = {
    "traced_spans_failed": "not taken by the receiver",
    "traced_spans_dropped": "dropped for want of room",
}


def status_lines(report: Mapping[str, Any], address: str, width: int, glyphs: Glyphs) -> list[Text]:
    """The lines of a StatusResponse as JSON has it, each no wider than `width`."""
    draining = ", stops: it takes no more requests" if report["draining"] else ""
    lines = [Text(f"mark {report['version']} at {address}, up {duration(round(report['uptime_s']))}{draining}")]
    if report["following"]:
        lines.append(Text("another router leads this cluster, or its lease is not over: this one launches nothing"))
    counts = report.get("ingress", {})
    if "connections_open" in counts:
        lines.append(_ingress(counts))
    if "traced_requests" in counts:
        lines.append(_traces(counts))
    for model in report.get("models", []):
        lines += _Model(model, width, glyphs).lines()
    return [cut(line, width, glyphs) for line in lines]


def _ingress(counts: Mapping[str, str]) -> Text:
    """What reached the native ingress, and what it turned away."""
    away = ", ".join(f"{counts[key]} {words}" for key, words in _TURNED_AWAY.items() if int(counts[key]))
    return Text.assemble(
        f"ingress: {counts['connections_open']} connections open, {counts['calls']} calls, "
        f"{counts['calls_cancelled']} of them cancelled",
        (f"; turned away: {away}" if away else "", BAD),
    )


def _traces(counts: Mapping[str, str]) -> Text:
    """What tracing told of sampled requests, and what it could not tell."""
    lost = ", ".join(f"{counts[key]} {why}" for key, why in _TRACES_LOST.items() if int(counts[key]))
    return Text.assemble(
        f"traces: {counts['traced_requests']} requests, {counts['traced_spans_exported']} spans exported",
        (f"; lost: {lost}" if lost else "", BAD),
    )


class _Model:
    """The lines of one model."""

    def __init__(self, model: Mapping[str, Any], width: int, glyphs: Glyphs) -> None:
        self._model = model
        self._width = width
        self._room = width - figures.LABEL_COLUMNS
        self._glyphs = glyphs

    def lines(self) -> list[Text]:
        model = self._model
        lines = [
            self._title(),
            *self._promise(),
            labelled("requests", self._requests()),
            labelled("latency", self._latency()),
            labelled("load", self._load()),
            labelled("capacity", self._capacity()),
            labelled("now", self._now()),
        ]
        if "bursts" in model:
            lines += _bursts(model["bursts"], self._room, self._glyphs)
        lines += [*self._fleet(), *self._workers(), labelled("money", self._money())]
        return lines + self._decision()

    def _title(self) -> Text:
        model, slo = self._model, self._model["slo"]
        name = f"{clean(model['name'])} version {clean(model['version'])}"
        promise = f"  {slo['sl_min'] * 100:.4g}% within {slo['rt_max_ms']:g} ms "
        rule = self._glyphs.rule * max(0, self._width - len(name) - len(promise))
        return Text.assemble((name, "bold"), promise, (rule, "dim"))

    def _promise(self) -> Iterator[Text]:
        windows = {int(each["window_s"]): each for each in self._model.get("windows", [])}
        if not windows:
            return
        attainment = {window_s: float(each["attainment"]) for window_s, each in windows.items()}
        burn_rate = {window_s: float(each["burn_rate"]) for window_s, each in windows.items()}
        left, sl_min = float(self._model["error_budget_left"]), self._model["slo"]["sl_min"]
        yield labelled("in time", figures.attainment_line(attainment, sl_min, self._room, self._glyphs))
        yield labelled("budget", figures.budget_line(left, burn_rate, self._room, self._glyphs))

    def _requests(self) -> Text:
        model = self._model
        parts = [Part.of(f"{percent(model['attainment'])} of {int(model['submitted']):,} in time since it began")]
        ended = {outcome: int(count) for outcome, count in model["ended"].items() if outcome != "answered"}
        parts += [
            Part.of(f"{count:,} {outcome.replace('_', ' ')}", spare=number)
            for number, (outcome, count) in enumerate(sorted(ended.items(), key=lambda each: (-each[1], each[0])))
            if count
        ]
        return joined(parts, self._room, self._glyphs)

    def _latency(self) -> Text:
        model = self._model
        parts = figures.latency_parts(model["latency_ms"], model["slo"]["rt_max_ms"])
        return joined([*parts, Part.of("since it began", spare=1)], self._room, self._glyphs)

    def _load(self) -> Text:
        model, forecast = self._model, self._model.get("forecast")
        parts = [Part.of(f"{rate(model['load_per_s'])} rows/s")]
        if forecast is not None and forecast.get("rates_per_s"):
            rates = forecast["rates_per_s"]
            told = ", ".join(rate(each) for each in rates[:_STEPS_MAX]) + (", ..." if len(rates) > _STEPS_MAX else "")
            parts.append(Part.of(f"expected {told} in steps of {forecast['step_s']:g} s"))
            parts.append(Part.of(f"by {clean(forecast['forecaster'])}", spare=1))
            if forecast["fallback"]:
                parts.append(Part.of((f"which stands in: {clean(forecast['fallback'])}", "magenta"), spare=2))
        return joined(parts, self._room, self._glyphs)

    def _capacity(self) -> Text:
        ready, planned = self._model["capacity_ready_per_s"], self._model["capacity_per_s"]
        return Text(f"{rate(ready)} rows/s ready, {rate(planned)} planned")

    def _now(self) -> Text:
        model = self._model
        parts = [Part.of(f"{model['queued']} queued, {model['in_flight']} in flight")]
        parts.append(
            Part.of(f"{int(model['batches']):,} batches, {model['rows_per_batch']:.1f} rows on average", spare=1)
        )
        if int(model["padded_rows"]):
            parts.append(Part.of(f"{model['padded_rows']} rows of padding in all", spare=2))
        return joined(parts, self._room, self._glyphs)

    def _fleet(self) -> list[Text]:
        """A line for each offering; the ones with most instances first."""
        by_offering: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for instance in self._model.get("instances", []):
            by_offering.setdefault((instance["offering"], instance["market"]), []).append(instance)
        told = sorted(by_offering.items(), key=lambda each: -len(each[1]))
        lines = [self._offering(name, market, instances) for (name, market), instances in told[:_OFFERINGS_MAX]]
        if not lines:
            lines = [Text("no instance")]
        if len(told) > _OFFERINGS_MAX:
            rest = sum(len(instances) for _, instances in told[_OFFERINGS_MAX:])
            lines.append(Text(f"{rest} of {len(told) - _OFFERINGS_MAX} other offerings"))
        return [labelled("" if number else "fleet", line) for number, line in enumerate(lines)]

    def _offering(self, name: str, market: str, instances: Sequence[Mapping[str, Any]]) -> Text:
        states = [instance["state"] for instance in instances]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        taken = [instance["taken_in_s"] for instance in instances if "taken_in_s" in instance]
        parts = [
            Part.of(f"{clean(name)} ({market.replace('_', ' ')})  {counts}"),
            Part.of(f"oldest {duration(round(max(instance['age_s'] for instance in instances)))}", spare=1),
            Part.of(f"${sum(instance['cost_usd'] for instance in instances):.6f}", spare=2),
        ]
        if taken:
            parts.insert(1, Part.of((f"{len(taken)} taken away in {min(taken):.0f} s", BAD)))
        return joined(parts, self._room, self._glyphs)

    def _workers(self) -> list[Text]:
        """Those that are not as fast as their profile says, the slowest first."""
        workers = self._model.get("workers", [])
        told = [each for each in workers if each["ejected"] or abs(each["correction"] - 1) > _AS_FAST]
        told.sort(key=lambda each: (not each["ejected"], -each["correction"]))
        lines = [
            Text.assemble(
                f"{clean(each['address'])} takes {each['correction']:.2f} x as long as its profile says",
                ("  ejected" if each["ejected"] else "", BAD),
            )
            for each in told[:1]
        ]
        if len(told) > 1:
            lines.append(Text(f"{len(told) - 1} more that are not as fast as theirs, of {len(workers)} in all"))
        elif len(workers) > len(told):
            lines.append(Text(f"{len(workers) - len(told)} as fast as their profiles say"))
        return [labelled("" if number else "workers", line) for number, line in enumerate(lines)]

    def _money(self) -> Text:
        model = self._model
        per_hour = {"instances": model["cost_usd_per_hour"]}
        total = (model["cost_usd"], model.get("cost_usd_peak_sized"))
        if "budget" not in model:
            return figures.money_line(per_hour, total, self._room, self._glyphs)
        stage = model["budget"]["stage"].replace("_", " ")
        allowed = f"  at most ${model['budget']['allowed_usd_per_hour']:.4f} an hour"
        limit = Text.assemble(allowed, ("" if stage == "full" else f", {stage}", BAD))
        spent = figures.money_line(per_hour, total, self._room - limit.cell_len, self._glyphs)
        return Text.assemble(spent, limit)

    def _decision(self) -> list[Text]:
        text = clean(self._model["last_decision"]) or "none yet"
        lines = wrapped(Text(text), self._room)
        if len(lines) > _DECISION_LINES:
            last = Text.assemble(lines[_DECISION_LINES - 1], self._glyphs.cut * 2)
            lines = [*lines[: _DECISION_LINES - 1], cut(last, self._room, self._glyphs)]
        return [labelled("" if number else "decision", line) for number, line in enumerate(lines)]


def _bursts(bursts: Mapping[str, Any], room: int, glyphs: Glyphs) -> list[Text]:
    verdicts, ended = bursts["verdicts"], bursts["ended"]
    refused = {name.replace("_", " "): int(count) for name, count in verdicts.items() if name != "send"}
    reasons = ", ".join(f"{count} {name}" for name, count in refused.items() if count)
    sent = f"{verdicts['send']} sent, {ended['answered']} answered in time, {ended['late']} late"
    parts = [
        Part.of(f"{sent}, {bursts['in_flight']} in flight"),
        Part.of(f"{sum(refused.values())} not sent" + (f" ({reasons})" if reasons else "")),
    ]
    breaker = bursts["breaker"].replace("_", " ")
    functions = [
        Part.of(f"{bursts['functions_warm']} warm of {bursts['functions']}"),
        Part.of(f"{bursts['cold_starts']} cold starts", spare=1),
        Part.of((f"breaker {breaker}", "" if breaker == "closed" else BAD)),
        Part.of(f"${bursts['cost_usd']:.6f} so far"),
        Part.of(f"${bursts['cost_usd_last_hour']:.6f} in the last hour", spare=2),
    ]
    return [labelled("bursts", joined(parts, room, glyphs)), labelled("function", joined(functions, room, glyphs))]
