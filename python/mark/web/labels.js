// Labels of lines: a swatch, a name and a value, at the height of the line's end.

const HEIGHT = 18;

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

export function label(line) {
  const row = document.createElement("li");
  const name = document.createElement("span");
  name.textContent = line.label;
  row.append(swatch(line), name, document.createElement("b"));
  return row;
}

// Moves labels, each wanted with its middle `at` some height, so far that none lies upon another. Sets `at` to where
// each begins, and leaves none below `height`, where the marks of the axis are.
export function apart(wanted, height) {
  const placed = [...wanted].sort((one, other) => one.at - other.at);
  let free = -HEIGHT / 2;
  for (const each of placed) free = (each.at = Math.max(each.at - HEIGHT / 2, free)) + HEIGHT;
  let limit = height + 2;
  for (const each of placed.reverse()) limit = each.at = Math.min(each.at, limit - HEIGHT);
  return placed;
}
