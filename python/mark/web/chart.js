// One chart: uPlot with labels at the ends of its lines instead of a legend, read by mouse and by keyboard.

import { apart, label } from "./labels.js";
import { axisTime, clock, isKnown } from "./words.js";

// For labels at the right of the lines, of the width; where they need more, they stand above the chart.
const GUTTER_SHARE_MAX = 0.46;
const NARROW = 400; // pixels: there they always do
const EDGE = 28; // pixels at the right of the lines: half of what the last mark of the axis says
const LABEL_GAP = 18; // beside a label, both sides together
const FONT = '12px system-ui, "Segoe UI", Roboto, sans-serif';
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
const SYNC = "mark";

function hue(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function faded(color, alpha) {
  return color + Math.round(alpha * 255).toString(16).padStart(2, "0");
}

export class Chart {
  // board: has `from`, `to`, `marks`, `selected`, and is told of `zoom(from, to)`, `read(text)` and `release()`.
  constructor(plot, board) {
    this.plot = plot;
    this.board = board;
    this.uplot = null;
    this.lines = [];
    this.shape = "";
    this.gutter = 0;
    this.narrow = false;
    this.rows = [];
    this.root = document.createElement("figure");
    this.root.className = plot.wide ? "chart wide" : "chart";
    this.root.dataset.chart = plot.id;
    const caption = document.createElement("figcaption");
    const title = document.createElement("h3");
    title.textContent = plot.title;
    this.about = document.createElement("span");
    this.about.className = "about";
    this.about.textContent = plot.unit;
    caption.append(title, this.about);
    this.labels = document.createElement("ul");
    this.labels.className = "labels";
    this.area = document.createElement("div");
    this.area.className = "area";
    this.area.tabIndex = 0;
    this.area.setAttribute("role", "group");
    this.area.setAttribute("aria-roledescription", "chart");
    this.area.setAttribute("aria-describedby", "keys");
    this.area.addEventListener("keydown", (event) => this.#press(event));
    this.area.addEventListener("blur", () => this.#leave());
    this.root.append(caption, this.labels, this.area);
  }

  show(past) {
    const made = this.plot.make(past, this.board.to - this.board.from);
    this.lines = made.lines;
    this.times = made.times ?? past.times;
    this.nowS = made.nowS ?? null;
    this.root.hidden = this.lines.length === 0;
    if (this.root.hidden) return;
    const data = [this.times, ...this.lines.map((line) => line.data)];
    const shape = this.lines.map((line) => `${line.label ?? ""}/${line.color}`).join();
    if (this.uplot === null || this.shape !== shape) {
      this.#build(data, shape);
    } else {
      this.uplot.setData(data, false);
      this.uplot.setScale("x", { min: this.board.from, max: this.#until() });
    }
    this.#place();
    this.area.setAttribute("aria-label", `${this.plot.title}: ${this.#told(this.#lastIndex())}`);
  }

  rebuild(past) {
    this.shape = "";
    this.show(past);
  }

  resize() {
    if (this.uplot === null || this.root.hidden) return;
    this.gutter = 0;
    this.#place();
    this.uplot.redraw(false);
  }

  // Only a chart that shows what is to come needs room for it.
  #until() {
    return this.nowS === null ? Math.min(this.board.to, this.times.at(-1)) : this.board.to;
  }

  #size() {
    const width = this.root.clientWidth - (this.narrow ? 0 : this.gutter - EDGE);
    return { width: Math.max(120, width), height: this.plot.wide ? 260 : 170 };
  }

  // Room for the labels: it only grows, so that the charts do not move with every digit.
  #fit() {
    const widest = Math.max(0, ...this.rows.map(([row]) => row.scrollWidth));
    if (widest + LABEL_GAP > this.gutter) this.gutter = Math.ceil((widest + LABEL_GAP) / 8 + 0.5) * 8;
    const width = this.root.clientWidth;
    this.narrow = width < NARROW || this.gutter > width * GUTTER_SHARE_MAX;
    this.root.classList.toggle("narrow", this.narrow);
    if (this.uplot.width !== this.#size().width) this.uplot.setSize(this.#size());
  }

  #build(data, shape) {
    this.uplot?.destroy();
    this.shape = shape;
    this.uplot = new uPlot(this.#options(), data, this.area);
    this.uplot.over.setAttribute("aria-hidden", "true");
  }

  #options() {
    const bands = [];
    let layer = -1;
    this.lines.forEach((line, index) => {
      const fill = faded(hue(line.color), line.alpha ?? 0.5);
      if (line.bandTo !== undefined) bands.push({ series: [index + 1, line.bandTo + 1], fill });
      if (line.stacked && layer >= 0) bands.push({ series: [index + 1, layer + 1], fill });
      if (line.stacked) layer = index;
    });
    const axis = { stroke: hue("faint"), font: FONT, ticks: { show: false }, border: { show: false } };
    return {
      ...this.#size(),
      padding: [8, EDGE, 0, 0],
      legend: { show: false },
      bands,
      series: [{}, ...this.lines.map((line, index) => this.#series(line, index))],
      scales: {
        x: { time: false, range: () => [this.board.from, this.#until()] },
        y: { range: (_, min, max) => this.plot.range(min ?? 0, max ?? 0) },
      },
      axes: [
        {
          ...axis,
          incrs: SECONDS,
          space: 76,
          size: 26,
          grid: { show: false },
          values: (_, splits, __, ___, every) => splits.map((at) => axisTime(at, every)),
        },
        {
          ...axis,
          incrs: this.plot.whole ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] : undefined,
          space: 34,
          size: (_, values) => 18 + 6.8 * Math.max(2, ...(values ?? []).map((value) => value.length)),
          gap: 6,
          grid: { stroke: hue("grid"), width: 1 },
          values: (_, splits) => splits.map(this.plot.mark ?? this.plot.format),
        },
      ],
      cursor: {
        sync: { key: SYNC, setSeries: false },
        drag: { x: true, y: false, setScale: false },
        points: { size: 6 },
        y: false,
      },
      hooks: {
        setCursor: [() => this.#point()],
        setSelect: [(self) => this.#drag(self)],
        drawClear: [(self) => this.#drawFuture(self)],
        // Only now is it known where the lines end.
        draw: [(self) => this.#drawMarks(self), () => this.narrow || this.#spread()],
      },
    };
  }

  #series(line, index) {
    const color = hue(line.color);
    const lowest = line.stacked && this.lines.findIndex((each) => each.stacked) === index;
    return {
      stroke: line.width > 0 ? color : "transparent",
      width: line.width,
      dash: line.dash,
      fill: line.area ? faded(color, line.area) : lowest ? faded(color, line.alpha) : undefined,
      paths: line.step ? uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { show: false },
    };
  }

    #drawFuture(self) {
    if (this.nowS === null || this.nowS >= this.board.to) return;
    const { left, top, width, height } = self.bbox;
    const now = Math.max(left, self.valToPos(this.nowS, "x", true));
    self.ctx.fillStyle = faded(hue("grid"), 0.35);
    self.ctx.fillRect(now, top, left + width - now, height);
  }

  #drawMarks(self) {
    const { left, top, width, height } = self.bbox;
    const line = (unixS, color, dash) => {
      const x = Math.round(self.valToPos(unixS, "x", true)) + 0.5;
      if (x < left || x > left + width) return;
      self.ctx.save();
      self.ctx.strokeStyle = color;
      self.ctx.lineWidth = devicePixelRatio;
      self.ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
      self.ctx.beginPath();
      self.ctx.moveTo(x, top);
      self.ctx.lineTo(x, top + height);
      self.ctx.stroke();
      self.ctx.restore();
    };
    for (const unixS of this.board.marks) line(unixS, hue("red"), [2, 3]);
    if (this.board.selected !== null) line(this.board.selected, hue("ink"), []);
  }

  #drag(self) {
    const { left, width } = self.select;
    if (width < 6) return;
    const [from, to] = [self.posToVal(left, "x"), self.posToVal(left + width, "x")];
    self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.board.zoom(from, to);
  }

  // The last point of the past that is shown and has any value.
  #lastIndex() {
    const until = Math.min(this.board.to, this.nowS ?? Infinity);
    const isShown = (index) => this.times[index] <= until && this.lines.some((line) => isKnown(line.data[index]));
    let index = this.times.length - 1;
    while (index > 0 && !isShown(index)) index -= 1;
    return index;
  }

  #index() {
    const pointed = this.uplot?.cursor.idx;
    return pointed === null || pointed === undefined ? this.#lastIndex() : pointed;
  }

  #text(line, index) {
    const value = (line.own ?? line.data)[index];
    return !isKnown(value) || line.text === undefined ? this.plot.format(value) : line.text(index);
  }

  #told(index) {
    return this.lines
      .filter((line) => line.label !== undefined)
      .map((line) => `${line.label} ${this.#text(line, index)}`)
      .join(", ");
  }

  #point() {
    const pointed = this.uplot?.cursor.idx;
    const isPointing = pointed !== null && pointed !== undefined && (this.uplot.cursor.left ?? -1) >= 0;
    this.about.textContent = isPointing ? clock(this.times[pointed]) : this.plot.unit;
    this.about.classList.toggle("at", isPointing);
    const index = isPointing ? pointed : this.#lastIndex();
    for (const [row, line] of this.rows) {
      row.lastChild.textContent = this.#text(line, index);
    }
  }

  #place() {
    const labelled = this.lines.filter((line) => line.label !== undefined);
    this.rows = labelled.map((line) => [label(line), line]);
    this.labels.replaceChildren(...this.rows.map(([row]) => row));
    this.#point();
    this.#fit();
  }

  // Labels at the height of the lines' last values, moved apart where they would lie upon each other.
  #spread() {
    const [over, box] = [this.uplot.over.getBoundingClientRect(), this.root.getBoundingClientRect()];
    const top = over.top - box.top;
    const index = this.#lastIndex();
    const wanted = this.rows.map(([row, line]) => {
      const value = line.data[index];
      const middle = line.stacked ? value - line.own[index] / 2 : value;
      return { row, at: isKnown(middle) ? this.uplot.valToPos(middle, "y") : over.height };
    });
    for (const { row, at } of apart(wanted, over.height)) {
      row.style.top = `${top + at}px`;
      row.style.left = `${over.right - box.left + 8}px`;
    }
  }

  #press(event) {
    const { from, to } = this.board;
    const first = this.times.findIndex((at) => at >= from);
    let last = this.times.length - 1;
    while (last > 0 && this.times[last] > to) last -= 1;
    if (this.uplot === null || first < 0) return;
    const step = Math.max(1, Math.round((last - first) / 120));
    const index = this.#index();
    const moves = { ArrowLeft: index - step, ArrowRight: index + step, Home: first, End: last };
    if (event.key === "Escape") {
      this.#leave();
      this.board.release();
    } else if (event.key in moves) {
      event.preventDefault();
      const target = Math.min(last, Math.max(first, moves[event.key]));
      const left = this.uplot.valToPos(this.times[target], "x");
      this.uplot.setCursor({ left, top: this.uplot.over.clientHeight / 2 }, true, true);
      this.board.read(`${clock(this.times[target])}: ${this.#told(target)}`);
    }
  }

  #leave() {
    this.uplot?.setCursor({ left: -10, top: -10 }, true, true);
  }
}
