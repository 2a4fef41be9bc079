// What is shown, once a second: everything that comes from a stream is set as text, never as markup.
import {curve, series} from "./plot.js";
import {tiles} from "./tiles.js";
import {count, flat, known, make, percent, placed, several, text} from "./words.js";

const by = id => document.getElementById(id);
const LAST = 100;
const POINTS = 1200;
let said = 0, messages = [], points = [], shown = null;

function verdictOf(message) {
  // of several numbers those that were missing are null
  return message.evaluation ? (flat(message.evaluation.hit).some(hit => hit === false) ? "miss" : "hit") : "none";
}
function strip(list) {
  // of sequences with labels only those that were judged
  const told = shown.task === "label" ? list.filter(message => message.evaluation) : list;
  return told.slice(-LAST).map(message => {
    const evaluation = message.evaluation, value = text(shown.task === "label" ? evaluation.label : message.value);
    const cell = make("span", value.length > 3 ? `${value.slice(0, 2)}…` : value, `${verdictOf(message)}${value.length > 2 ? " long" : ""}`);
    cell.title = `${message.stream ?? message.topic}: ${value}` + (evaluation ? `, predicted ${text(evaluation.predicted)}` : "") + (evaluation?.drift ? ", the stream changed" : "");
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
  const from = make("p", `after ${text(message.value)} in ${placed(message.stream, message.topic, message.partition)}`, "note");
  const listed = message.probabilities ?? message.top;
  if (listed) return [...(listed.length ? bars(listed) : [make("p", "nothing is known yet", "note")]), from];
  const told = foretold(message.prediction, message.interval, shown.horizons.length > 1 ? shown.horizons : null, message.components);
  return [...told.slice(0, 12).map(words => make("p", words, "foretold")), from];
}
function foretold(prediction, interval, horizons, names) {
  // a line for each number: lists are over the horizons, if there are several, and in these over the components
  if (!Array.isArray(prediction)) return [text(prediction) + (interval ? `, in ${interval.map(text).join(" … ")}` : "")];
  return prediction.flatMap((each, i) => foretold(each, interval ? interval[i] : null, null, names).map(told =>
    horizons ? `${horizons[i]} ahead: ${told}` : `${names ? names[i] : i}: ${told}`));
}
function labels(list) {
  const open = new Map();
  for (const message of list) open.set(message.stream, message);
  const rows = [...open.values()].filter(message => known(message.prediction) && !message.evaluation);
  return rows.slice(-6).reverse().flatMap(message => [
    make("p", `${message.stream ?? "(no key)"}, after ${count(message.sample)} samples`, "note"), ...bars(message.probabilities.slice(0, 3))]);
}
function seriesOf(list) {
  const svg = by("series");
  svg.toggleAttribute("hidden", shown.task !== "number" || list.length < 2);  // what is hidden has no size to draw in
  if (!svg.hasAttribute("hidden") && !series(svg, list, shown.horizons[0])) svg.setAttribute("hidden", "");
  by("series-note").hidden = svg.hasAttribute("hidden");
}

function headline(now) {
  const obstacle = now.obstacles[0];
  by("state").className = obstacle ? "bad" : "good";
  by("state").textContent = obstacle ?? "live";
  by("headline").className = `wide ${obstacle ? "bad" : now.headline.mood}`;
  by("headline-text").textContent = obstacle ? `It does not predict just now: ${obstacle}.` : now.headline.text;
  by("headline-note").textContent = levelReached(now);
  const said = by("headline-text").textContent.toLowerCase();
  by("hints").replaceChildren(...now.hints.filter(hint => !said.includes(hint.text.toLowerCase()))
    .map(hint => make("li", `${hint.partition}: ${hint.text}`)));
}
function levelReached(now) {
  if (!known(now.level_reached_after) || now.headline.mood !== "good") return "";
  return now.level_reached_after ? `The hit rate came to 95 % of its present level within ${several(now.level_reached_after, "value")}.`
    : "The hit rate was there before this process began.";
}
function curveOf(now) {
  const numbers = now.task === "number", drawn = curve(by("curve"), by("legend"), now, points);
  by("curve-title").textContent = numbers ? "Mean absolute error, against doing nothing clever" : "Hit rate, against doing nothing clever";
  by("curve").setAttribute("aria-label", numbers ? "Error and that of baselines over time" : "Hit rate and baselines over time");
  const unit = !numbers ? "% of the last scored predictions" : now.numbers?.relative
    ? "% of the mean size of the last scored values; less is better" : "in the unit of the values, over the last scored ones; less is better";
  by("curve-note").textContent = drawn ? unit : "the first predictions are yet to be scored";
}
function show(now) {
  shown = now;
  if (now.said < said) messages = points = [];  // the daemon was restarted
  if (!points.length || now.curve.length && now.curve[0].at <= points.at(-1).at) points = [];  // a new connection
  points = [...points, ...now.curve];
  if (points.length > POINTS) points = points.filter((_, i) => i % 2 === 0);
  said = now.said;
  messages = [...messages, ...now.messages].slice(-LAST);
  by("about").textContent = `task ${now.task}, ${now.input_topics.join(", ")} → ${now.output_topic}`;
  headline(now);
  by("tiles").replaceChildren(...tiles(now));
  curveOf(now);
  const labelled = now.task === "label";
  by("last-title").textContent = labelled ? "The last labels" : "The last values";
  by("next-title").textContent = labelled ? "Open sequences" : "What comes next";
  by("coming").textContent = labelled ? "label so far" : "predicted next";
  by("strip").replaceChildren(...strip(messages));
  seriesOf(messages);
  by("next").replaceChildren(...(labelled ? labels(messages) : next(messages.at(-1))));
  by("model").textContent = messages.length ? `model ${messages.at(-1).model}, online-lstm ${now.version}` : `online-lstm ${now.version}`;
}

async function list() {
  const answer = await fetch(`streams?search=${encodeURIComponent(by("search").value)}`).then(a => a.json()).catch(() => null);
  if (!answer) return;
  by("found").textContent = `${count(answer.found)} of the ${count(answer.kept)} streams that spoke last`;
  by("streams").replaceChildren(...answer.streams.map(stream => {
    const row = make("tr");
    const cells = [placed(stream.name, stream.topic, stream.partition), count(stream.events), text(stream.value), text(stream.prediction),
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
  const cells = make("div", null, "strip"), kappa = answer.kappa_temporal;
  const worth = known(kappa) ? `, kappa-temporal ${kappa.toFixed(2)}` : "";
  cells.append(...strip(answer.messages));
  box.replaceChildren(make("h2", `Stream ${placed(answer.name, answer.topic, answer.partition)}`), cells,
    make("p", `model ${answer.model}, ${count(answer.events)} events, hit rate ${percent(answer.hit_rate)}${worth}`, "note"), ...next(answer.messages.at(-1)));
}

function connect() {
  const source = new EventSource("live");
  source.onmessage = event => show(JSON.parse(event.data));
  source.onerror = () => { by("state").className = "bad"; by("state").textContent = "the daemon does not answer"; by("headline").className = "wide bad";
    by("headline-text").textContent = "The daemon does not answer: it has stopped, or is restarting."; };
}
by("search").oninput = list;
connect();
list();
setInterval(list, 3000);
