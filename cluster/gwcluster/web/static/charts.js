// Small charts in SVG.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 60;

function put(svg, name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  svg.append(node);
}

// Draw points [at, value] between two moments; `value` null is a gap. `series`: [{points, kind}], kind main or worst.
export function lines(svg, from, to, series) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  put(svg, "line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 });
  const top = Math.max(1e-9, ...series.flatMap(({ points }) => points.map(([, value]) => value ?? 0)));
  const x = (at) => (WIDTH * (at - from) / Math.max(1e-9, to - from)).toFixed(1);
  const y = (value) => (HEIGHT - 1 - (HEIGHT - 6) * value / top).toFixed(1);
  for (const { points, kind } of series) {
    for (const run of unbroken(points)) {
      const path = run.map(([at, value], index) => `${index ? "L" : "M"}${x(at)} ${y(value)}`).join("");
      if (kind === "main" && run.length > 1) {
        put(svg, "path", { class: "area", d: `${path}L${x(run.at(-1)[0])} ${HEIGHT}L${x(run[0][0])} ${HEIGHT}Z` });
      }
      put(svg, "path", { class: kind, d: path });
    }
  }
}

// Where nothing was known, or the page was asleep, there is no line.
function unbroken(points) {
  const runs = [];
  let last = null;
  for (const point of points) {
    if (point[1] === null || point[1] === undefined) { last = null; continue; }
    if (last === null || point[0] - last[0] > 35) runs.push([]);
    runs.at(-1).push(point);
    last = point;
  }
  return runs;
}

export function bar(svg, parts, whole) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", "0 0 100 1");
  svg.setAttribute("preserveAspectRatio", "none");
  let x = 0;
  for (const [kind, value] of parts) {
    const width = whole > 0 ? 100 * value / whole : 0;
    put(svg, "rect", { class: kind, x, y: 0, width: Math.max(0, width), height: 1 });
    x += width;
  }
}
