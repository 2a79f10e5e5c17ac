// What a person would call broken: text that lies upon other text, is cut off, or leaves the screen.
() => {
  const problems = [];
  const scrolls = (element) => ["auto", "scroll"].includes(getComputedStyle(element).overflowY);
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.data.trim() || !parent.checkVisibility({ visibilityProperty: true }) || parent.closest(".unseen, legend")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) if (box.width > 0) texts.push({ node, parent, box });
  }
  const said = ({ node }) => node.data.trim().slice(0, 40);
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) problems.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const text of texts) {
    const { box, parent } = text;
    if (box.left < -0.5 || box.right > width + 0.5) problems.push(`"${said(text)}" leaves the screen`);
    for (let at = parent; at !== null; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.overflowX === "visible" && style.overflowY === "visible") continue;
      const inner = at.getBoundingClientRect();
      const isCut = box.left < inner.left - 1 || box.right > inner.right + 1;
      const isCutBelow = !scrolls(at) && (box.top < inner.top - 1 || box.bottom > inner.bottom + 1);
      if ((isCut && at.scrollWidth <= at.clientWidth + 1) || (isCut && style.overflowX === "hidden") || isCutBelow) {
        problems.push(`"${said(text)}" is cut off by ${at.tagName}.${at.className}`);
      }
      if (scrolls(at)) text.inside = inner;
    }
    const card = parent.closest(".chart, #figures > div");
    if (card !== null && box.right > card.getBoundingClientRect().right) problems.push(`"${said(text)}" leaves its card`);
  }
  const seen = texts.filter(({ box, inside }) => inside === undefined || (box.top >= inside.top && box.bottom <= inside.bottom));
  for (let first = 0; first < seen.length; first++) {
    for (let second = first + 1; second < seen.length; second++) {
      const [one, other] = [seen[first].box, seen[second].box];
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      // Boxes of lines are higher than their letters.
      if (across > 1 && down > 4) problems.push(`"${said(seen[first])}" and "${said(seen[second])}" overlap`);
    }
  }
  for (const canvas of document.querySelectorAll("canvas")) {
    const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    const pixels = copy.getContext("2d", { willReadFrequently: true });
    pixels.drawImage(canvas, 0, 0);
    for (const x of [0, canvas.width - 1]) {
      const column = pixels.getImageData(x, 0, 1, canvas.height).data;
      if (column.some((value, index) => index % 4 === 3 && value > 0)) {
        problems.push(`the chart ${canvas.closest("[data-chart]").dataset.chart} is cut off at ${x === 0 ? "the left" : "the right"}`);
      }
    }
  }
  return problems;
};
