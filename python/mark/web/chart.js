// One chart: uPlot with labels at the ends of its lines instead of a legend, read by mouse and by keyboard.

import { axisTime, clock, isKnown } from "./words.js";

// For labels at the right of the lines, of the width; where they need more, they stand above the chart.
const GUTTER_SHARE_MAX = 0.46;
const NARROW = 400; // pixels: there they always do
const EDGE = 28; // pixels at the right of the lines: half of what the last mark of the axis says
const LABEL_HEIGHT = 18;
const LABEL_GAP = 18; // beside a label, both sides together
const FONT = '12px system-ui, "Segoe UI", Roboto, sans-serif';
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
const SYNC = "mark";

export function hue(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function faded(color, alpha) {
  return color + Math.round(alpha * 255).toString(16).padStart(2, "0");
}

function swatch(line) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("viewBox", "0 0 16 10");
  made.setAttribute("aria-hidden", "true");
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "path");
  mark.setAttribute("d", line.isArea ? "M1 1H15V9H1Z" : "M0 5H16");
  mark.style.stroke = `var(--${line.color})`;
  mark.style.strokeWidth = line.isArea ? "1" : String(Math.max(1.5, line.width));
  mark.style.fill = line.isArea ? `var(--${line.color})` : "none";
  mark.style.fillOpacity = String(line.alpha === undefined ? 1 : Math.max(0.4, line.alpha));
  mark.style.strokeDasharray = (line.dash ?? []).join(" ");
  made.append(mark);
  return made;
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
    const data = [this.times, ...this.lines.map((line) => line.data)];
    const shape = this.lines.map((line) => `${line.label ?? ""}/${line.color}`).join();
    if (this.uplot === null || this.shape !== shape) {
      this.#build(data, shape);
    } else {
      this.uplot.setData(data, false);
      this.uplot.setScale("x", { min: this.board.from, max: this.board.to });
    }
    this.#place();
    this.area.setAttribute("aria-label", `${this.plot.title}: ${this.#told(this.#lastIndex())}`);
  }

  rebuild(past) {
    this.shape = "";
    this.show(past);
  }

  resize() {
    if (this.uplot === null) return;
    this.gutter = 0;
    this.#place();
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
        x: { time: false, range: () => [this.board.from, this.board.to] },
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
        draw: [(self) => this.#drawMarks(self)],
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

  // The last point of the past that has any value.
  #lastIndex() {
    let index = this.nowS === null ? this.times.length - 1 : this.times.indexOf(this.nowS);
    while (index > 0 && !this.lines.some((line) => isKnown(line.data[index]))) index -= 1;
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
    for (const [row, line] of this.rows ?? []) {
      row.lastChild.textContent = this.#text(line, index);
    }
  }

  // Labels at the height of the lines' last values, moved apart where they would lie upon each other.
  #place() {
    const labelled = this.lines.filter((line) => line.label !== undefined);
    this.rows = labelled.map((line) => {
      const row = document.createElement("li");
      const name = document.createElement("span");
      const value = document.createElement("b");
      name.textContent = line.label;
      row.append(swatch(line), name, value);
      return [row, line];
    });
    this.labels.replaceChildren(...this.rows.map(([row]) => row));
    this.#point();
    this.#fit();
    if (!this.narrow) this.#spread();
  }

  #spread() {
    const [over, box] = [this.uplot.over.getBoundingClientRect(), this.root.getBoundingClientRect()];
    const top = over.top - box.top;
    const index = this.#lastIndex();
    const placed = this.rows
      .map(([row, line]) => {
        const value = line.data[index];
        const below = line.stacked ? value - line.own[index] / 2 : value;
        return { row, at: isKnown(below) ? this.uplot.valToPos(below, "y") : over.height };
      })
      .sort((one, other) => one.at - other.at);
    let free = -LABEL_HEIGHT / 2;
    for (const each of placed) free = (each.at = Math.max(each.at - LABEL_HEIGHT / 2, free)) + LABEL_HEIGHT;
    let limit = over.height + 2; // below it are the marks of the axis
    for (const each of [...placed].reverse()) limit = each.at = Math.min(each.at, limit - LABEL_HEIGHT);
    for (const each of placed) {
      each.row.style.top = `${top + each.at}px`;
      each.row.style.left = `${over.right - box.left + 8}px`;
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
