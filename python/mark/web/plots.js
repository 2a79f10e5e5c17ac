// What each chart shows: lines, areas and stacks made of the columns of a model's past.

import { isKnown, market, milliseconds, number, share, usd, usdMark } from "./words.js";

const MARKETS = [
  ["on_demand", "blue"],
  ["spot", "orange"],
  ["burstable", "green"],
  ["serverless", "purple"],
];
const FAN = [
  ["0.1", "0.9", 0.16],
  ["0.25", "0.75", 0.24],
];
const FUTURE_SHARE_MAX = 0.25; // of the width, for what is forecast

function sum(past, names) {
  const columns = names.filter((name) => past.columns.has(name)).map((name) => past.columns.get(name));
  if (columns.length === 0) return null;
  return past.times.map((_, index) => columns.reduce((total, column) => total + (column[index] ?? 0), 0));
}

function constant(past, value) {
  return new Array(past.length).fill(value);
}

// Layers one upon the other: each line is the sum of all up to it. A layer's own values are kept for its label.
function stacked(layers) {
  let below = null;
  return layers
    .filter((layer) => layer.values !== null && layer.values.some((value) => value > 0))
    .map((layer) => {
      const under = below;
      const data = under === null ? layer.values : layer.values.map((value, index) => value + under[index]);
      below = data;
      return { ...layer, data, own: layer.values, stacked: true, isArea: true, step: true, width: 1 };
    });
}

// What the last plan expects of the time to come, as further points behind the past.
function future(past, spanS) {
  const forecast = past.last?.forecast;
  if (!forecast) return { times: [], line: () => [] };
  const now = past.times.at(-1);
  const until = now + spanS * FUTURE_SHARE_MAX;
  const steps = forecast.rates_per_s.map((_, step) => step);
  const at = (step) => past.last.forecast_unix_s + step * forecast.step_s;
  const shown = steps.filter((step) => at(step) > now && at(step) <= Math.max(until, now + 2 * forecast.step_s));
  const rates = (name) =>
    name === "bound" ? forecast.rates_per_s : forecast.quantiles_per_s[forecast.levels.map(String).indexOf(name)];
  return { times: shown.map(at), line: (name) => shown.map((step) => rates(name)?.[step] ?? null) };
}

function loadChart(past, spanS) {
  const ahead = future(past, spanS);
  const none = ahead.times.map(() => null);
  const foreseen = (name) => {
    const column = past.columns.get(`foreseen_per_s.${name}`);
    const line = ahead.line(name);
    return column === undefined && !line.some(isKnown) ? null : [...(column ?? constant(past, null)), ...line];
  };
  const capacity = past.column("capacity_ready_per_s");
  // Of workers that are not ours nobody knows what they cost or whether they boot; some models have no others.
  const lines = capacity.some((value) => value > 0)
    ? [{ label: "capacity", color: "green", data: [...capacity, ...none], step: true, width: 1.5, area: 0.1 }]
    : [];
  for (const [low, high, alpha] of FAN) {
    const [bottom, top] = [foreseen(low), foreseen(high)];
    if (bottom === null || top === null) continue;
    lines.push({ color: "purple", data: bottom, width: 0 });
    const label = low === FAN[0][0] ? "forecast" : undefined;
    const text = (index) => [...new Set([number(bottom[index]), number(top[index])])].join("–");
    lines.push({ label, text, color: "purple", data: top, width: 0, bandTo: lines.length - 1, alpha, isArea: true });
  }
  const bound = foreseen("bound");
  if (bound !== null) lines.push({ label: "planned for", color: "purple", data: bound, width: 1.5, dash: [6, 4] });
  lines.push({ label: "load", color: "blue", data: [...past.column("load_per_s"), ...none], width: 2 });
  return { times: [...past.times, ...ahead.times], lines, nowS: past.times.at(-1) };
}

function latencyChart(past) {
  const line = (name, color, width, dash) => ({ label: name, color, data: past.column(`latency_ms.${name}`), width, dash });
  return {
    lines: [
      line("p50", "sky", 1.5),
      line("p99", "faint", 1, [2, 3]),
      line("p98", "blue", 2),
      { label: "promised", color: "red", data: constant(past, past.about.rt_max_ms), width: 1.5, dash: [6, 4] },
    ],
  };
}

function attainmentChart(past) {
  return {
    lines: [
      { label: "1 h", color: "sky", data: past.column("attainment.3600"), width: 1.5 },
      { label: "1 min", color: "blue", data: past.column("attainment.60"), width: 2 },
      { label: "promised", color: "red", data: constant(past, past.about.sl_min), width: 1.5, dash: [6, 4] },
    ],
  };
}

function budgetChart(past) {
  const left = past.column("error_budget_left");
  return {
    lines: [
      { label: "left", color: "green", data: left, width: 2, area: 0.16 },
      ...(left.some((value) => value < 0)
        ? [{ label: "used up", color: "red", data: constant(past, 0), width: 1.5, dash: [6, 4] }]
        : []),
    ],
  };
}

function fleetChart(past) {
  const names = MARKETS.map(([name]) => name);
  const layers = MARKETS.map(([name, color]) => ({
    label: market(name),
    color,
    alpha: 0.55,
    values: sum(past, [`instances.${name}.ready`, `instances.${name}.draining`]),
  }));
  const booting = sum(past, names.map((name) => `instances.${name}.pending`));
  return { lines: stacked([...layers, { label: "booting", color: "grey", alpha: 0.3, values: booting }]) };
}

function rateChart(past) {
  const layers = MARKETS.map(([name, color]) => ({
    label: market(name),
    color,
    alpha: 0.55,
    values: sum(past, [`usd_per_hour.${name}`]),
  }));
  return { lines: stacked(layers) };
}

function totalChart(past) {
  const lines = [{ label: "spent", color: "blue", data: past.column("usd_total"), width: 2, area: 0.1 }];
  const peak = past.column("usd_peak_sized");
  if (peak.some(isKnown)) lines.unshift({ label: "for the peak", color: "red", data: peak, width: 1.5, dash: [6, 4] });
  return { lines };
}

const upTo = (min, max) => [0, max > 0 ? max * 1.08 : 1];

// From the lowest that was, or just below the promise, to all.
const shares = (min) => [Math.max(0, 1 - (1 - min) * 1.25), 1];

const overdrawn = (min) => [Math.min(0, min), 1];

export const PLOTS = [
  { id: "load", title: "Load, forecast and capacity", unit: "rows/s", make: loadChart, range: upTo, format: number, wide: true },
  { id: "latency", title: "Latency", unit: "of the last 5 s", make: latencyChart, range: upTo, format: milliseconds },
  { id: "fleet", title: "Fleet", unit: "instances", make: fleetChart, range: upTo, format: number, whole: true },
  { id: "attainment", title: "Answered in time", unit: "share of requests", make: attainmentChart, range: shares, format: share },
  { id: "budget", title: "Error budget left", unit: "of six hours", make: budgetChart, range: overdrawn, format: share },
  { id: "rate", title: "Dollars an hour", unit: "by market", make: rateChart, range: upTo, format: usd, mark: usdMark },
  { id: "total", title: "Dollars so far", unit: "", make: totalChart, range: upTo, format: usd, mark: usdMark },
];
