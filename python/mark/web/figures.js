// The sentence at the top, and the figures below it: how things are now.

import { duration, isKnown, market, milliseconds, number, share, usd } from "./words.js";

const WINDOWS = ["300", "1800", "3600", "21600"];

// Text is always text, whatever a name contains.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function meter(value, max, label, state) {
  const share = Math.max(0, Math.min(1, value / max));
  const bar = element("span", { class: "bar-fill" });
  bar.style.width = `${share * 100}%`;
  return element("span", { class: "meter", "data-state": state, role: "img", "aria-label": label }, bar);
}

// Names with their values, none of which is broken over two lines.
function pairs(values) {
  const list = values.map(([name, value]) => element("span", {}, element("span", {}, name), " ", value));
  return element("span", { class: "pairs" }, ...list);
}

function promise(sample) {
  const now = sample.attainment["60"];
  const windows = pairs(WINDOWS.map((window) => [duration(Number(window)), share(sample.attainment[window])]));
  return {
    name: "In time, last minute",
    value: share(now),
    state: now >= sample.sl_min ? "good" : "bad",
    notes: [windows],
  };
}

function budget(sample) {
  const left = sample.error_budget_left;
  const burn = sample.burn_rate["3600"];
  const burning = !isKnown(burn)
    ? "nothing may miss, and something did"
    : burn === 0
      ? "nothing missed in the last hour"
      : `used at ${number(burn)} times the allowed pace in the last hour`;
  const state = !isKnown(left) || left <= 0 ? "bad" : left < 0.25 ? "poor" : "good";
  return {
    name: "Error budget left",
    value: isKnown(left) ? share(left) : "none",
    state,
    notes: [meter(left ?? 0, 1, `${share(left ?? 0)} left`, state), burning],
  };
}

function latency(sample) {
  const { p50, p98, p99 } = sample.latency_ms;
  const state = !isKnown(p98) || p98 <= sample.rt_max_ms ? "good" : "bad";
  return {
    name: "Latency, p98",
    value: milliseconds(p98),
    state,
    notes: [
      meter(p98 ?? 0, sample.rt_max_ms, `${milliseconds(p98)} of ${milliseconds(sample.rt_max_ms)}`, state),
      pairs([["p50", milliseconds(p50)], ["p99", milliseconds(p99)], ["promised", milliseconds(sample.rt_max_ms)]]),
    ],
  };
}

function load(sample) {
  const { load_per_s: now, capacity_ready_per_s: ready } = sample;
  const bound = sample.forecast === null ? null : Math.max(...sample.forecast.rates_per_s);
  const state = ready > 0 && now > ready ? "poor" : "good";
  const facts = pairs([["capacity", number(ready)], ["expected up to", number(bound)]]);
  const notes = ready > 0 ? [meter(now, ready, `${number(now)} of ${number(ready)}`, state), facts] : [facts];
  return { name: "Load, rows/s", value: number(now), state, notes };
}

function rate(sample) {
  const parts = Object.entries(sample.usd_per_hour).filter(([, dollars]) => dollars > 0);
  const total = parts.reduce((sum, [, dollars]) => sum + dollars, 0);
  const fleet = Object.values(sample.instances).flatMap((states) => Object.values(states)).reduce((sum, count) => sum + count, 0);
  const notes = parts.length ? [pairs(parts.map(([name, dollars]) => [market(name), usd(dollars)]))] : [];
  return { name: "Dollars an hour", value: usd(total), state: "none", notes: [`${fleet} ${fleet === 1 ? "instance" : "instances"}`, ...notes] };
}

function total(sample) {
  const { usd_total: spent, usd_peak_sized: peak } = sample;
  const notes = [];
  if (isKnown(peak)) {
    notes.push(pairs([["for the peak", usd(peak)]]));
    if (peak > 0) notes.push(spent <= peak ? `${share(1 - spent / peak)} saved` : `${share(spent / peak - 1)} more than that`);
  }
  return { name: "Dollars so far", value: usd(spent), state: "none", notes };
}

const FIGURES = [promise, budget, latency, load, rate, total];

export function showFigures(list, sample) {
  list.replaceChildren(
    ...FIGURES.map((figure) => {
      const { name, value, state, notes } = figure(sample);
      const lines = notes.map((note) => element("span", { class: "note" }, note));
      return element(
        "div",
        { "data-state": state },
        element("dt", {}, name),
        element("dd", {}, element("span", { class: "value" }, value), ...lines),
      );
    }),
  );
}

const SIGNS = { kept: "✓", burning: "!", broken: "✕" };

// Says whether the promise is kept, and returns the sign of that.
export function showVerdict(paragraph, sample, sinceS) {
  const long = sample.attainment["21600"];
  const now = sample.attainment["60"];
  const of = `within ${milliseconds(sample.rt_max_ms)} in the last ${duration(Math.min(21_600, Math.max(1, sinceS)))}`;
  const promised = `${share(sample.sl_min)} is promised`;
  let state = "kept";
  let text = `The promise is kept: ${share(long)} were answered ${of}; ${promised}.`;
  if (long < sample.sl_min) {
    state = "broken";
    text = `The promise is broken: only ${share(long)} were answered ${of}; ${promised}.`;
  } else if (now < sample.sl_min) {
    state = "burning";
    text = `The promise is kept, but not now: ${share(now)} in the last minute. ${share(long)} were answered ${of}; ${promised}.`;
  }
  paragraph.dataset.state = state;
  if (paragraph.textContent !== text) paragraph.textContent = text;
  return SIGNS[state];
}
