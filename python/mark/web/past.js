// What is known of one model: columns of numbers over time, the last sample, the records.

const LEFT_OUT = new Set(["model", "forecast", "forecast_unix_s", "rt_max_ms", "sl_min"]);
const RECORDS_MAX = 500;
const QUIET_MAX = 60; // of them, plans that change nothing: where one is made each second, they would push out all else

// The numbers of a sample by their path, "instances.spot.ready", as the router names the columns of the past.
function* numbers(data, path = "") {
  for (const [name, value] of Object.entries(data)) {
    if (path === "" && LEFT_OUT.has(name)) continue;
    if (typeof value === "number") yield [path + name, value];
    else if (value !== null && typeof value === "object") yield* numbers(value, `${path}${name}.`);
  }
}

export function changesNothing(record) {
  return record.kind === "plan" && record.actions.length === 0;
}

export class Past {
  constructor(about) {
    this.about = about;
    this.length = 0;
    this.columns = new Map();
    this.last = null;
    this.records = [];
    this.recordIds = new Set();
  }

  // A column as long as the time; what never was is null.
  column(name) {
    let column = this.columns.get(name);
    if (column === undefined) {
      column = new Array(this.length).fill(null);
      this.columns.set(name, column);
    }
    return column;
  }

  get times() {
    return this.column("unix_s");
  }

  appendColumns(columns) {
    const count = columns.unix_s.length;
    for (const name of Object.keys(columns)) this.column(name);
    for (const [name, column] of this.columns) {
      const more = columns[name];
      for (let index = 0; index < count; index++) column.push(more === undefined ? null : more[index]);
    }
    this.length += count;
  }

  add(sample) {
    const found = new Map(numbers(sample));
    for (const name of found.keys()) this.column(name);
    for (const [name, column] of this.columns) column.push(found.get(name) ?? null);
    this.length += 1;
    this.last = sample;
  }

  // Keeps a record. Returns the ids of those that made room for it; null when it was known already.
  addRecord(record) {
    if (this.recordIds.has(record.id)) return null;
    this.recordIds.add(record.id);
    this.records.push(record);
    const quiet = this.records.filter(changesNothing);
    const oldest = quiet.length > QUIET_MAX ? quiet[0] : this.records.length > RECORDS_MAX ? this.records[0] : null;
    if (oldest === null) return [];
    this.records.splice(this.records.indexOf(oldest), 1);
    this.recordIds.delete(oldest.id);
    return [oldest.id];
  }
}
