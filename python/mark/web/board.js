// All charts over one axis of time, which ends with now unless somebody looks at a part of the past.

import { Chart } from "./chart.js";
import { PLOTS } from "./plots.js";

const LEAST_SPAN_S = 60;
const AHEAD_SHARE = 0.12; // of the span: room for what is forecast
const ALARMS = new Set(["interruption", "loss", "shed"]);

export class Board {
  // told: { zoomed(isZoomed), read(text) }
  constructor(root, told) {
    this.root = root;
    this.told = told;
    this.spanS = 900;
    this.part = null;
    this.selected = null;
    this.marks = [];
    this.past = null;
    this.from = 0;
    this.to = LEAST_SPAN_S;
    this.charts = PLOTS.map((plot) => new Chart(plot, this));
    root.append(...this.charts.map((chart) => chart.root));
    new ResizeObserver(() => this.#resize()).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#rebuild());
    matchMedia("(resolution: 1dppx)").addEventListener("change", () => this.#rebuild());
  }

  show(past) {
    this.past = past;
    if (past === null || past.length === 0) return;
    this.#setTime();
    const alarms = past.records.filter((record) => ALARMS.has(record.kind));
    this.marks = [...new Set(alarms.map((record) => Math.round(record.unix_s)))];
    for (const chart of this.charts) chart.show(past);
  }

  // Seconds up to now; 0 for all that is known.
  setSpan(seconds) {
    this.spanS = seconds;
    this.release();
  }

  zoom(from, to) {
    this.part = [from, to];
    this.told.zoomed(true);
    this.show(this.past);
  }

  release() {
    this.part = null;
    this.told.zoomed(false);
    this.show(this.past);
  }

  select(unixS) {
    this.selected = unixS;
    this.show(this.past);
  }

  read(text) {
    this.told.read(text);
  }

  #setTime() {
    if (this.part !== null) {
      [this.from, this.to] = this.part;
      return;
    }
    const times = this.past.times;
    const now = times.at(-1);
    const begin = this.spanS === 0 ? times[0] : Math.max(times[0], now - this.spanS);
    this.from = Math.min(begin, now - LEAST_SPAN_S);
    const forecast = this.past.last?.forecast;
    const ahead = forecast ? forecast.step_s * forecast.rates_per_s.length : 0;
    this.to = now + Math.min(ahead, (now - this.from) * AHEAD_SHARE);
  }

  #resize() {
    for (const chart of this.charts) chart.resize();
  }

  #rebuild() {
    if (this.past !== null && this.past.length > 0) for (const chart of this.charts) chart.rebuild(this.past);
  }
}
