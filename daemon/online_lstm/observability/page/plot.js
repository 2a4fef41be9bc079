// The curve over time against the baselines, and the numbers of a stream with what had been predicted.
import {count, draw, flat, make, several, short} from "./words.js";

const COLORS = ["--own", "--b1", "--b2", "--b3"];

function line(points, x, y, color, width) {
  if (points.length === 1) return draw("circle", {cx: x(points[0][0]), cy: y(points[0][1]), r: 1.5 * width, fill: `var(${color})`});
  const path = points.map((p, i) => `${i ? "L" : "M"}${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join("");
  return draw("path", {d: path, fill: "none", stroke: `var(${color})`, "stroke-width": width, "stroke-linejoin": "round"});
}

// Steps of 1, 2 or 5 times a power of ten, about four of them from 0 to the highest.
export function ticksTo(highest) {
  const rough = highest / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(each => each >= rough);
  return Array.from({length: Math.ceil(highest / step) + 1}, (_, i) => Number((i * step).toPrecision(12)));
}

// Rates of symbols and labels are drawn in percent, errors of numbers in their unit, or in percent of their mean size.
function scaleOf(now, points) {
  if (now.task !== "number") return {values: point => point.hit_rates, ticks: [0, .25, .5, .75, 1], words: tick => `${100 * tick}`};
  const values = point => point.errors ?? [];
  const highest = Math.max(...points.flatMap(values), 1e-300), relative = now.numbers?.relative;
  return {values, ticks: ticksTo(highest), words: tick => short(relative ? 100 * tick : tick)};
}

function changes(now) {
  const last = now.marks.at(-1), who = now.streams > 1 && last.stream !== null ? `stream ${last.stream}` : "the stream";
  return now.drifts === 1 ? `${who} changed, ${several(now.events - last.events, "value")} ago`
    : `changes: ${count(now.drifts)}, the last one ${several(now.events - last.events, "value")} ago in ${who}`;
}

export function curve(svg, legend, now, points) {
  const names = ["published prediction", ...Object.keys(now.baseline_hit_rates).map(name => now.words[name])];
  const shownPoints = now.task === "number" ? points.filter(point => point.errors) : points;
  const first = shownPoints.length ? shownPoints[0].at : 0, last = shownPoints.length ? shownPoints.at(-1).at : 0;
  const marks = now.marks.filter(mark => mark.at >= first && mark.at <= last);
  legend.replaceChildren(...names.map((name, i) => {
    const entry = make("span", name);
    entry.style.setProperty("--c", `var(${COLORS[i]})`);
    return entry;
  }), ...(marks.length ? [make("span", changes(now), "drift")] : []));
  const {values, ticks, words} = scaleOf(now, shownPoints), labels = ticks.map(words);
  const left = 12 + 6.2 * Math.max(...labels.map(label => label.length)), box = svg.getBoundingClientRect();
  const [right, top, bottom] = [box.width - 4, 8, box.height - 22];
  const x = at => left + (right - left) * (at - first) / Math.max(last - first, 1e-3);
  const y = value => bottom - (bottom - top) * value / ticks.at(-1);
  svg.replaceChildren(...ticks.flatMap((tick, i) => [
    draw("line", {x1: left, x2: right, y1: y(tick), y2: y(tick), class: "grid"}),
    draw("text", {x: left - 6, y: y(tick) + 4, "text-anchor": "end"}, labels[i])]));
  for (const mark of marks) {
    const drift = draw("line", {x1: x(mark.at), x2: x(mark.at), y1: top, y2: bottom, class: "drift"});
    drift.append(draw("title", {}, `${mark.stream ?? "the stream"} changed, after ${count(mark.events)} values`));
    svg.append(drift);
  }
  for (let i = names.length - 1; i >= 0; i--) svg.append(line(shownPoints.map(p => [p.at, values(p)[i]]), x, y, COLORS[i], i ? 1.5 : 2.5));
  const clock = at => new Date(1000 * at).toLocaleTimeString();
  if (shownPoints.length) svg.append(draw("text", {x: left, y: bottom + 18}, clock(first)));
  if (shownPoints.length > 1) svg.append(draw("text", {x: right, y: bottom + 18, "text-anchor": "end"}, clock(last)));
  return shownPoints.length > 0;
}

// The numbers of the stream that spoke last, of several numbers the first one; false where there is nothing to draw.
export function series(svg, list, ahead) {
  const own = list.filter(m => m.stream === list.at(-1).stream && flat(m.value).every(v => typeof v === "number"));
  if (own.length < 2) return false;
  const seen = own.map((m, i) => [i, flat(m.value)[0]]);
  const told = own.flatMap((m, i) => m.evaluation ? [[i, flat(m.evaluation.predicted)[0]]] : []).filter(p => typeof p[1] === "number");
  const band = own.flatMap((m, i) => {
    const bounds = i >= ahead && own[i - ahead].interval ? flat(own[i - ahead].interval).slice(0, 2) : [];
    return bounds.length === 2 && typeof bounds[0] === "number" ? [[i, ...bounds]] : [];
  });
  const all = [...seen, ...told].map(p => p[1]), low = Math.min(...all), high = Math.max(...all);
  const box = svg.getBoundingClientRect(), labels = [low, high].map(short);
  const left = 8 + 6.2 * Math.max(...labels.map(label => label.length));
  const x = i => left + (box.width - left - 4) * i / Math.max(own.length - 1, 1);
  const y = v => box.height - 8 - (box.height - 16) * (v - low) / Math.max(high - low, 1e-12);
  svg.replaceChildren(...[low, high].map((v, i) => draw("text", {x: left - 6, y: y(v) + 4, "text-anchor": "end"}, labels[i])));
  if (band.length) {
    const within = v => Math.max(0, Math.min(box.height, y(v)));
    const up = band.map(p => `${x(p[0])},${within(p[2])}`), down = band.map(p => `${x(p[0])},${within(p[1])}`).reverse();
    svg.append(draw("polygon", {points: [...up, ...down].join(" "), fill: "var(--band)"}));
  }
  svg.append(line(seen, x, y, "--soft", 1.5), line(told, x, y, "--own", 2));
  return true;
}
