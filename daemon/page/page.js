"use strict";
// Everything that comes from a stream is set as text, never as markup.
const by = id => document.getElementById(id);
const COLORS = ["--own", "--b1", "--b2", "--b3"];
const LAST = 100;
const POINTS = 1200;
let said = 0, messages = [], points = [], shown = null;

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  if (className) element.className = className;
  return element;
}
function draw(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
const percent = rate => rate === null || rate === undefined ? "–" : `${(100 * rate).toFixed(1)} %`;
const count = number => Number(number).toLocaleString("en");
const words = name => name.replaceAll("_", " ");
const flat = value => Array.isArray(value) ? value.flat(3) : [value];
function text(value) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map(text).join(", ");
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(6))) : String(value);
}
function ago(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}
const best = now => {
  const rates = Object.entries(now.baseline_hit_rates).filter(([, rate]) => rate !== null);
  return rates.sort((a, b) => b[1] - a[1])[0];
};

function tile(title, figure, note, mood) {
  const element = make("div", null, `tile ${mood}`);
  element.append(make("h2", title), make("strong", figure), make("p", note));
  return element;
}
function tiles(now) {
  const baseline = best(now), lift = baseline && now.hit_rate !== null ? now.hit_rate - baseline[1] : null;
  const learning = now.hit_rate === null ? "nothing scored yet" : `of the last predictions, ${count(now.events)} values learned since the start`;
  const compared = lift === null ? "nothing to compare yet" : `than ${words(baseline[0])}, which has ${percent(baseline[1])}`;
  const points = lift === null ? "–" : `${lift >= 0 ? "+" : "−"}${Math.abs(100 * lift).toFixed(1)} points`;
  const behind = now.lag_records > 10 * Math.max(now.events_per_s, 10);
  const saved = now.unsaved_partitions === 0 && now.checkpoint_age_s !== null;
  const offsets = Object.values(now.checkpoint_offsets);  // of what was restored, before this process wrote any
  const restored = offsets.length > 0 && offsets.every(offset => offset > 0);
  by("tiles").replaceChildren(
    tile("Does it learn?", percent(now.hit_rate), learning, now.hit_rate === null ? "" : lift !== null && lift < -0.02 ? "warn" : "good"),
    tile("Is it better?", points, compared, lift === null ? "" : lift > 0.005 ? "good" : lift < -0.005 ? "bad" : "warn"),
    tile("Does it keep up?", now.lag_records ? `${count(now.lag_records)} waiting` : "up to date",
      `${now.events_per_s} events/s, ${count(now.dead_letters)} refused`, behind ? "bad" : "good"),
    tile("Is it safe to restart?", saved ? `saved ${ago(now.checkpoint_age_s)}` : restored ? "saved before" : "not saved yet",
      saved || restored ? "what came since then is replayed, exactly" : "all would be replayed, from the beginning",
      now.checkpoint_failures ? "bad" : saved || restored ? "good" : "warn"));
}

function line(points, x, y, color, width) {
  const path = points.map((p, i) => `${i ? "L" : "M"}${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join("");
  return draw("path", {d: path, fill: "none", stroke: `var(${color})`, "stroke-width": width, "stroke-linejoin": "round"});
}
function curve(now) {
  const svg = by("curve"), names = ["published prediction", ...Object.keys(now.baseline_hit_rates).map(words)];
  by("legend").replaceChildren(...names.map((name, i) => {
    const entry = make("span", name);
    entry.style.setProperty("--c", `var(${COLORS[i]})`);
    return entry;
  }));
  const box = svg.getBoundingClientRect(), [left, right, top, bottom] = [30, box.width - 4, 8, box.height - 22];
  const first = points.length ? points[0][0] : 0, span = Math.max(points.length ? points.at(-1)[0] - first : 1, 1);
  const x = at => left + (right - left) * (at - first) / span, y = rate => bottom - (bottom - top) * rate;
  svg.replaceChildren(...[0, .25, .5, .75, 1].flatMap(rate => [
    draw("line", {x1: left, x2: right, y1: y(rate), y2: y(rate), class: "grid"}),
    draw("text", {x: left - 6, y: y(rate) + 4, "text-anchor": "end"}, `${100 * rate}`)]));
  for (let i = names.length; i >= 1; i--) svg.append(line(points.map(p => [p[0], p[i]]), x, y, COLORS[i - 1], i === 1 ? 2.5 : 1.5));
  const clock = at => new Date(1000 * at).toLocaleTimeString();
  if (points.length) svg.append(draw("text", {x: left, y: bottom + 18}, clock(first)),
    draw("text", {x: right, y: bottom + 18, "text-anchor": "end"}, clock(points.at(-1)[0])));
  by("curve-note").textContent = points.length ? "% of the last scored predictions" : "the first predictions are yet to be scored";
}

function verdictOf(message) {
  // of several numbers those that were missing are null
  return message.verdict ? (flat(message.verdict.hit).some(hit => hit === false) ? "miss" : "hit") : "none";
}
function strip(list) {
  // of sequences with labels only those that were judged
  const told = shown.task === "label" ? list.filter(message => message.verdict) : list;
  return told.slice(-LAST).map(message => {
    const verdict = message.verdict, value = text(shown.task === "label" ? verdict.label : message.value);
    const cell = make("span", value.length > 3 ? "" : value, `${verdictOf(message)}${value.length > 2 ? " long" : ""}`);
    cell.title = `${message.stream ?? message.topic}: ${value}` + (verdict ? `, predicted ${text(verdict.predicted)}` : "");
    return cell;
  });
}
function bars(pairs) {
  return pairs.map(([name, probability]) => {
    const bar = make("div", null, "bar"), fill = make("i");
    fill.style.width = `${Math.max(0, Math.min(100, 100 * probability))}%`;
    bar.append(make("b", text(name)), fill, make("span", percent(probability)));
    bar.firstChild.title = text(name);
    return bar;
  });
}
function next(message) {
  if (!message) return [make("p", "no value has come yet", "note")];
  const from = make("p", `after ${text(message.value)} in ${message.stream ?? `${message.topic}/${message.partition}`}`, "note");
  const listed = message.probabilities ?? message.top;
  if (listed) return [...(listed.length ? bars(listed) : [make("p", "nothing is known yet", "note")]), from];
  const told = foretold(message.prediction, message.interval, shown.horizons.length > 1 ? shown.horizons : null);
  return [...told.slice(0, 12).map(words => make("p", words, "foretold")), from];
}
function foretold(prediction, interval, horizons) {
  // a line for each number: lists are over the horizons, if there are several, and in these over the components
  if (!Array.isArray(prediction)) return [text(prediction) + (interval ? `, in ${interval.map(text).join(" … ")}` : "")];
  return prediction.flatMap((each, i) => foretold(each, interval ? interval[i] : null, null).map(told =>
    horizons ? `${horizons[i]} ahead: ${told}` : `${i}: ${told}`));
}
function labels(list) {
  const open = new Map();
  for (const message of list) open.set(message.stream, message);
  const rows = [...open.values()].filter(message => message.prediction !== null && message.prediction !== undefined && !message.verdict);
  return rows.slice(-6).reverse().flatMap(message => [
    make("p", `${message.stream ?? "(no key)"}, after ${count(message.sample)} samples`, "note"), ...bars(message.probabilities.slice(0, 3))]);
}
function series(list) {
  const svg = by("series");
  const stream = list.at(-1)?.stream;
  const own = list.filter(m => m.stream === stream && flat(m.value).every(v => typeof v === "number")).slice(-LAST);
  const nothing = shown.task !== "number" || own.length < 2;
  svg.toggleAttribute("hidden", nothing);
  by("series-note").hidden = nothing;
  if (nothing) return;
  const seen = own.map((m, i) => [i, flat(m.value)[0]]);
  const told = own.flatMap((m, i) => m.verdict ? [[i, flat(m.verdict.predicted)[0]]] : []).filter(p => typeof p[1] === "number");
  const ahead = shown.horizons[0];
  const band = own.flatMap((m, i) => {
    // of several numbers the first one's, as the lines are
    const bounds = i >= ahead && own[i - ahead].interval ? flat(own[i - ahead].interval).slice(0, 2) : [];
    return bounds.length === 2 && typeof bounds[0] === "number" ? [[i, ...bounds]] : [];
  });
  const all = [...seen, ...told].map(p => p[1]), low = Math.min(...all), high = Math.max(...all);
  const box = svg.getBoundingClientRect();
  const x = i => 4 + (box.width - 8) * i / Math.max(own.length - 1, 1);
  const y = v => box.height - 8 - (box.height - 16) * (v - low) / Math.max(high - low, 1e-12);
  svg.replaceChildren();
  if (band.length) {
    const up = band.map(p => `${x(p[0])},${y(p[2])}`), down = band.map(p => `${x(p[0])},${y(p[1])}`).reverse();
    svg.append(draw("polygon", {points: [...up, ...down].join(" "), fill: "var(--band)"}));
  }
  svg.append(line(seen, x, y, "--soft", 1.5), line(told, x, y, "--own", 2));
}

function stateOf(now) {
  const state = by("state");
  state.className = now.obstacles.length ? "bad" : "good";
  state.textContent = now.obstacles.length ? now.obstacles[0] : "live";
}
function show(now) {
  shown = now;
  if (now.said < said) messages = points = [];  // the daemon was started anew
  if (!points.length || now.curve.length && now.curve[0][0] <= points.at(-1)[0]) points = [];  // connected anew
  points = [...points, ...now.curve];
  if (points.length > POINTS) points = points.filter((_, i) => i % 2 === 0);
  said = now.said;
  messages = [...messages, ...now.messages].slice(-LAST);
  by("about").textContent = `task ${now.task}, ${now.input_topics.join(", ")} → ${now.output_topic}`;
  stateOf(now); tiles(now); curve(now);
  const labelled = now.task === "label";
  by("last-title").textContent = labelled ? "The last labels" : "The last values";
  by("next-title").textContent = labelled ? "Open sequences" : "What comes next";
  by("coming").textContent = labelled ? "label so far" : "predicted next";
  by("strip").replaceChildren(...strip(messages));
  series(messages);
  by("next").replaceChildren(...(labelled ? labels(messages) : next(messages.at(-1))));
  by("model").textContent = messages.length ? `model ${messages.at(-1).model}, online-lstm ${now.version}` : `online-lstm ${now.version}`;
}

async function list() {
  const answer = await fetch(`streams?search=${encodeURIComponent(by("search").value)}`).then(a => a.json()).catch(() => null);
  if (!answer) return;
  by("found").textContent = `${count(answer.found)} of the ${count(answer.kept)} streams that spoke last`;
  by("streams").replaceChildren(...answer.streams.map(stream => {
    const row = make("tr");
    const cells = [stream.name ?? `${stream.topic}/${stream.partition}`, count(stream.events), text(stream.value), text(stream.prediction),
      percent(stream.hit_rate), percent(stream.baseline_hit_rate)];
    row.append(...cells.map(cell => make("td", cell)));
    row.tabIndex = 0;
    row.onclick = () => detail(stream);
    row.onkeydown = event => { if (event.key === "Enter") detail(stream); };
    return row;
  }));
}
async function detail(stream) {
  const name = stream.name === null ? "" : `/${encodeURIComponent(stream.name)}`;
  const answer = await fetch(`streams/${encodeURIComponent(stream.topic)}/${stream.partition}${name}`).then(a => a.ok ? a.json() : null).catch(() => null);
  const box = by("detail");
  box.hidden = !answer;
  if (!answer) return;
  const cells = make("div", null, "strip");
  cells.append(...strip(answer.messages));
  box.replaceChildren(make("h2", `Stream ${answer.name ?? `${answer.topic}/${answer.partition}`}`), cells,
    make("p", `model ${answer.model}, ${count(answer.events)} events, hit rate ${percent(answer.hit_rate)}`, "note"), ...next(answer.messages.at(-1)));
}

function connect() {
  const source = new EventSource("live");
  source.onmessage = event => show(JSON.parse(event.data));
  source.onerror = () => { by("state").className = "bad"; by("state").textContent = "the daemon does not answer"; };
}
by("search").oninput = list;
connect();
list();
setInterval(list, 3000);
