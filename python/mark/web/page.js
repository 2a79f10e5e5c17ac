// The live page: listens to the router's events, and shows what they say.

import { Board } from "./board.js";
import { showFigures, showVerdict } from "./figures.js";
import { Past } from "./past.js";
import { Timeline } from "./timeline.js";
import { duration } from "./words.js";

const POINTS_MAX = 12_000; // then the router is asked for its own history again, which is thinner
const STALE_S = 4;
const AGAIN_MS = 3000;

const at = (id) => document.getElementById(id);

class Page {
  constructor() {
    // The address keeps what is looked at, for a reload, a bookmark or a screen on a wall.
    this.query = new URLSearchParams(location.search);
    this.models = new Map();
    this.cluster = "";
    this.chosen = this.query.get("model") ?? "";
    this.isTold = false; // the past
    this.drawing = false;
    this.heardMs = performance.now();
    this.source = null;
    this.timeline = new Timeline(at("timeline"), { select: (unixS) => this.board?.select(unixS) });
    this.board = null;
    const span = document.querySelector(`input[name="range"][value="${CSS.escape(this.query.get("last") ?? "900")}"]`);
    if (span !== null) span.checked = true;
    this.#listenToPerson();
    this.#connect();
    setInterval(() => this.#sayConnection(), 1000);
  }

  get past() {
    return this.models.get(this.chosen) ?? null;
  }

  #connect() {
    this.source?.close();
    this.source = new EventSource("/events");
    const on = (kind, react) => this.source.addEventListener(kind, (event) => react(JSON.parse(event.data)));
    on("hello", (about) => this.#begin(about));
    on("history", ({ model, columns }) => this.models.get(model)?.appendColumns(columns));
    on("records", ({ records }) => records.forEach((record) => this.models.get(record.model)?.addRecord(record)));
    on("now", () => this.#toldAll());
    on("sample", (sample) => this.#hearSample(sample));
    on("record", (record) => this.#hearRecord(record));
    this.source.onerror = () => this.#lost();
  }

  // Whatever was shown was of another run, or is told anew.
  #begin(about) {
    this.isTold = false;
    this.models = new Map(about.models.map((model) => [model.name, new Past(model)]));
    if (!this.models.has(this.chosen)) this.chosen = about.models[0].name;
    at("cluster").textContent = about.cluster;
    at("version").textContent = `mark ${about.version}`;
    this.cluster = about.cluster;
    document.title = `${about.cluster} · mark`;
    const hasCharts = about.charts && typeof uPlot === "function";
    at("no-charts").hidden = hasCharts;
    for (const id of ["range", "keys"]) at(id).hidden = !hasCharts;
    if (hasCharts && this.board === null) {
      const told = { zoomed: (is) => (at("live").hidden = !is), read: (text) => (at("readout").textContent = text) };
      this.board = new Board(at("plots"), told);
      this.#chooseSpan();
    }
    this.#showModels();
  }

  #toldAll() {
    this.isTold = true;
    this.#heard();
    this.#showRecords();
    this.#draw();
  }

  #hearSample(sample) {
    const past = this.models.get(sample.model);
    if (past === undefined) return;
    past.add(sample);
    this.#heard();
    if (past.length > POINTS_MAX) this.#connect();
    else if (sample.model === this.chosen) this.#draw();
  }

  #hearRecord(record) {
    const past = this.models.get(record.model);
    const gone = past?.addRecord(record) ?? null;
    if (gone === null || record.model !== this.chosen || !this.isTold) return;
    this.timeline.add(record, gone);
    at("no-decisions").hidden = true;
  }

  #heard() {
    this.heardMs = performance.now();
    this.#sayConnection();
  }

  async #lost() {
    this.#sayConnection();
    if (this.source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    const again = () => setTimeout(() => this.#connect(), AGAIN_MS);
    try {
      const answer = await fetch("/", { method: "HEAD" });
      if (answer.status === 401) location.assign("/login");
      else again();
    } catch {
      again(); // the router is not there
    }
  }

  #sayConnection() {
    const silentS = (performance.now() - this.heardMs) / 1000;
    const isLive = this.isTold && silentS < STALE_S && this.source.readyState === EventSource.OPEN;
    const text = isLive ? "live" : this.isTold ? `nothing heard for ${duration(silentS)}` : "connecting";
    const paragraph = at("connection");
    document.body.classList.toggle("stale", this.isTold && !isLive);
    paragraph.dataset.state = isLive ? "live" : this.isTold ? "lost" : "connecting";
    if (paragraph.textContent !== text) paragraph.textContent = text;
  }

  // As often as the screen is drawn at most, and not at all while nobody looks.
  #draw() {
    if (this.drawing || document.hidden) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      const past = this.past;
      if (past === null || past.length === 0 || !this.isTold) return;
      if (past.last !== null) {
        const sign = showVerdict(at("verdict"), past.last, past.last.unix_s - past.times[0]);
        const title = `${sign} ${this.cluster} · mark`;
        if (document.title !== title) document.title = title;
        showFigures(at("figures"), past.last);
      }
      this.board?.show(past);
    });
  }

  #showRecords() {
    const past = this.past;
    this.timeline.show(past);
    at("no-decisions").hidden = past.records.length > 0;
  }

  #showModels() {
    const nav = at("models");
    nav.hidden = this.models.size < 2;
    const buttons = [...this.models.keys()].map((name) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-pressed", String(name === this.chosen));
      button.addEventListener("click", () => this.#choose(name));
      return button;
    });
    nav.replaceChildren(...buttons);
  }

  #remember(name, value) {
    this.query.set(name, value);
    history.replaceState(null, "", `?${this.query}`);
  }

  #choose(name) {
    this.chosen = name;
    this.#remember("model", name);
    for (const button of at("models").children) button.setAttribute("aria-pressed", String(button.textContent === name));
    this.board?.select(null);
    this.board?.release();
    this.#showRecords();
    this.#draw();
  }

  #chooseSpan() {
    this.board?.setSpan(Number(document.querySelector('input[name="range"]:checked').value));
  }

  #listenToPerson() {
    at("range").addEventListener("change", (event) => {
      this.#remember("last", event.target.value);
      this.#chooseSpan();
    });
    at("live").addEventListener("click", () => this.board?.release());
    at("quiet").addEventListener("change", (event) => at("timeline").classList.toggle("all", event.target.checked));
    document.addEventListener("visibilitychange", () => this.#draw());
  }
}

new Page();
