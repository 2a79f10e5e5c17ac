// The decisions, newest first: each opens to its reasons, what else there was, and what was seen.

import { changesNothing } from "./past.js";
import { duration, isKnown, market, moment, number, usd } from "./words.js";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function placeOf(recordId) {
  return `record-${recordId}`;
}

function counted(names) {
  const counts = new Map();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} × ${name}`).join(", ");
}

// What was done in a few words; where nothing was, what happened.
function headline(record) {
  const offerings = new Map(
    [...record.snapshot.instances, ...record.snapshot.draining].map((instance) => [instance.id, instance.offering]),
  );
  const launched = record.actions.filter((action) => action.action === "launch").map((action) => action.offering);
  const retired = record.actions.filter((action) => action.action === "retire").map((action) => offerings.get(action.instance) ?? action.instance);
  const parts = [];
  if (launched.length) parts.push(`launch ${counted(launched)}`);
  if (retired.length) parts.push(`retire ${counted(retired)}`);
  const text = parts.length ? parts.join("; ") : changesNothing(record) ? "nothing to change" : record.reason;
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function actions(record) {
  const rows = new Map();
  for (const action of record.actions) {
    const what = action.action === "launch" ? `Launch ${action.offering}` : `Retire ${action.instance}`;
    const key = `${what}\n${action.reason}`;
    rows.set(key, { what, reason: action.reason, count: (rows.get(key)?.count ?? 0) + 1 });
  }
  return [...rows.values()].map(({ what, reason, count }) =>
    element("li", {}, element("b", {}, count > 1 ? `${what}, ${count} times` : what), element("span", {}, reason)),
  );
}

function alternatives(record) {
  return record.alternatives.map((each) => {
    const extra = isKnown(each.extra_usd) ? `${usd(each.extra_usd)} more` : "no price";
    return element("li", {}, element("b", {}, each.what), " ", element("i", {}, extra), element("span", {}, each.reason));
  });
}

function fleet(record) {
  const { instances, draining, prices_usd_per_hour: prices, capacities_per_s: capacities } = record.snapshot;
  const groups = new Map();
  for (const instance of [...instances, ...draining]) {
    const key = `${instance.offering}\n${instance.state}`;
    const group = groups.get(key) ?? { ...instance, count: 0 };
    groups.set(key, { ...group, count: group.count + 1 });
  }
  const rows = [...groups.values()].map((each) =>
    element(
      "tr",
      {},
      element("td", {}, `${each.count} × ${each.offering}`),
      element("td", {}, `${market(each.market)}, ${each.state}`),
      element("td", {}, usd(prices[each.offering] ?? each.usd_per_hour)),
      element("td", {}, number(capacities[each.offering])),
    ),
  );
  if (rows.length === 0) return [];
  const head = ["instances", "market, state", "each an hour", "rows/s each"].map((name) => element("th", { scope: "col" }, name));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
  return [element("h4", {}, "The fleet that it saw"), element("div", { class: "wide-table" }, table)];
}

function seen(record) {
  const { load_per_s: load, capacity_per_s: capacity, forecast, unavailable_s: unavailable } = record.snapshot;
  const facts = [["load", `${number(load)} rows/s`]];
  if (forecast !== null) {
    facts.push(["expected", `up to ${number(Math.max(...forecast.rates_per_s))} rows/s, by ${forecast.forecaster}`]);
    if (forecast.fallback) facts.push(["stood in, for", forecast.fallback]);
  }
  facts.push(["capacity after it", `${number(capacity)} rows/s`], ["cost after it", `${usd(record.usd_per_hour)} an hour`]);
  for (const [name, seconds] of Object.entries(unavailable)) facts.push([`no ${name}`, `left alone for ${duration(seconds)}`]);
  return element("dl", { class: "facts" }, ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

// What only this kind of record has: words and numbers in a list, all else as it is written in the log.
function more(named) {
  const isPlain = (value) => typeof value !== "object" || value === null;
  const entries = Object.entries(named).map(([name, value]) => [name.replaceAll("_", " "), value]);
  const facts = entries
    .filter(([, value]) => isPlain(value))
    .map(([name, value]) => {
      // A record that this one follows from is named by its id.
      const said = name === "interruption" ? element("a", { href: `#${placeOf(value)}` }, String(value)) : String(value);
      return element("div", {}, element("dt", {}, name), element("dd", {}, said));
    });
  const others = entries
    .filter(([, value]) => !isPlain(value))
    .map(([name, value]) => element("details", {}, element("summary", {}, name), element("pre", {}, JSON.stringify(value, null, 1))));
  return [...(facts.length ? [element("dl", { class: "facts" }, ...facts)] : []), ...others];
}

function details(record) {
  const parts = [element("p", { class: "reason" }, record.reason)];
  if (record.actions.length) parts.push(element("h4", {}, "What was done"), element("ul", {}, ...actions(record)));
  if (record.alternatives.length) {
    parts.push(element("h4", {}, "What was rejected"), element("ul", { class: "rejected" }, ...alternatives(record)));
  }
  parts.push(element("h4", {}, "What it saw"), seen(record), ...fleet(record));
  if (Object.keys(record.details).length) parts.push(element("h4", {}, "Details"), ...more(record.details));
  parts.push(element("p", { class: "hint" }, element("code", {}, `mark explain ${record.id}`), " tells it in sentences."));
  return parts;
}

export class Timeline {
  // told: { select(unixS or null) }
  constructor(list, told) {
    this.list = list;
    this.told = told;
    list.addEventListener("keydown", (event) => this.#press(event));
    list.addEventListener("click", (event) => this.#follow(event));
  }

  show(past) {
    this.list.replaceChildren(...past.records.map((record) => this.#entry(record)).reverse());
  }

  // `gone`: the ids of those that make room. One that somebody reads stays until it is closed.
  add(record, gone) {
    this.list.prepend(this.#entry(record));
    for (const id of gone) {
      const item = this.list.querySelector(`[data-id="${CSS.escape(id)}"]`);
      if (item !== null && !item.firstElementChild.open) item.remove();
    }
  }

  #entry(record) {
    const title = element("span", { class: "headline" }, headline(record));
    const facts = [moment(record.unix_s, Date.now() / 1000)];
    const time = element("time", { datetime: new Date(record.unix_s * 1000).toISOString() }, facts[0]);
    const cost = element("span", { class: "cost" }, `${usd(record.usd_per_hour)}/h`);
    const summary = element("summary", {}, element("span", { class: "kind" }, record.kind), time, cost, title);
    const entry = element("details", {}, summary);
    const item = element("li", { id: placeOf(record.id), "data-kind": record.kind, "data-id": record.id }, entry);
    if (changesNothing(record)) item.classList.add("quiet");
    entry.addEventListener("toggle", () => {
      if (entry.open && entry.childElementCount === 1) entry.append(element("div", { class: "opened" }, ...details(record)));
      this.told.select(entry.open ? record.unix_s : null);
    });
    return item;
  }

  // A link to another record opens it.
  #follow(event) {
    const target = event.target.closest("a")?.getAttribute("href")?.slice(1);
    const item = target === undefined ? null : document.getElementById(target);
    if (item === null) return;
    event.preventDefault();
    item.firstElementChild.open = true;
    item.scrollIntoView({ block: "nearest" });
    item.querySelector("summary").focus();
  }

  // Up and down lead from decision to decision, as tab does.
  #press(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (!(event.key in steps) || event.target.localName !== "summary") return;
    const all = [...this.list.querySelectorAll("li > details > summary")].filter((each) => each.checkVisibility());
    const next = all[all.indexOf(event.target) + steps[event.key]];
    if (next === undefined) return;
    event.preventDefault();
    next.focus();
  }
}
