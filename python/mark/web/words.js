// Numbers as a person reads them.

const MARKETS = { on_demand: "on demand", spot: "spot", burstable: "burstable", serverless: "serverless" };

export const NO_VALUE = "–";
const GAP = "\u00a0"; // between a number and its unit, which belong together

export function market(name) {
  return MARKETS[name] ?? name;
}

export function isKnown(value) {
  return value !== null && value !== undefined && Number.isFinite(value);
}

function decimal(value, digitsMin, digitsMax) {
  const text = Math.abs(value).toLocaleString("en", { minimumFractionDigits: digitsMin, maximumFractionDigits: digitsMax });
  return value < 0 ? `−${text}` : text;
}

// 1234.5 -> "1,235", 12.34 -> "12.3", 1.234 -> "1.23": three digits that mean something.
export function number(value) {
  if (!isKnown(value)) return NO_VALUE;
  const size = Math.abs(value);
  return decimal(value, 0, size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

// As much of a share as tells it from all of them: 0.99987 -> "99.98 %", never "100 %" for what is less.
export function share(value) {
  if (!isKnown(value)) return NO_VALUE;
  const percent = value * 100;
  const digits = percent === Math.round(percent) || Math.abs(percent) >= 1000 ? 0 : percent > 99 || percent < 1 ? 2 : 1;
  const factor = 10 ** digits;
  // Of a number such as 29.9, a hundred times its hundredth is a little less.
  return `${decimal(Math.floor(percent * factor + 1e-6) / factor, digits, digits)}${GAP}%`;
}

export function milliseconds(value) {
  if (!isKnown(value)) return NO_VALUE;
  return value >= 10_000 ? `${number(value / 1000)}${GAP}s` : `${number(value)}${GAP}ms`;
}

// Dollars to the cent; what costs less than one with as many digits as it needs.
export function usd(value) {
  if (!isKnown(value)) return NO_VALUE;
  const size = Math.abs(value);
  const digits = size >= 1 || size === 0 ? 2 : size >= 0.1 ? 3 : size >= 0.01 ? 4 : size >= 0.001 ? 5 : 6;
  return `${value < 0 ? "−" : ""}$${decimal(size, 2, digits)}`;
}

// The marks of an axis: round numbers, which need no cents where there are many dollars.
export function usdMark(value) {
  return value >= 10 ? `$${decimal(value, 0, 0)}` : usd(value);
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)}${GAP}s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)}${GAP}min`;
  return seconds < 172_800 ? `${number(seconds / 3600)}${GAP}h` : `${number(seconds / 86_400)}${GAP}days`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const HOURS = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export function clock(unixS) {
  return CLOCK.format(new Date(unixS * 1000));
}

// The marks of a time axis, by what lies between two of them.
export function axisTime(unixS, everyS) {
  const at = new Date(unixS * 1000);
  return everyS < 60 ? CLOCK.format(at) : everyS < 86_400 ? HOURS.format(at) : DAY.format(at);
}

export function moment(unixS, nowS) {
  const at = new Date(unixS * 1000);
  return nowS - unixS > 43_200 ? `${DAY.format(at)}, ${CLOCK.format(at)}` : CLOCK.format(at);
}
