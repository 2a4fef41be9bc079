// The questions that a person has, each with a figure and what it means.
import {ago, count, known, make, percent, several, short} from "./words.js";

function tile(title, figure, note, mood) {
  const element = make("div", null, `tile ${mood}`);
  element.append(make("h2", title), make("strong", figure), make("p", note));
  return element;
}

export function tiles(now) {
  return [...(now.task === "number" ? ofNumbers(now) : ofHits(now)), keepsUp(now), isSafe(now)];
}

function ofHits(now) {
  const [name, best] = Object.entries(now.baseline_hit_rates).filter(([, rate]) => rate !== null).sort((a, b) => b[1] - a[1])[0] ?? [];
  const lift = name && now.hit_rate !== null ? now.hit_rate - best : null;
  const worth = known(now.kappa_temporal) ? `; kappa-temporal ${now.kappa_temporal.toFixed(2)}` : "";
  const points = lift === null ? "" : Math.abs(100 * lift).toFixed(1), equal = points === "0.0";
  return [
    tile("Does it learn?", percent(now.hit_rate), learned(now), now.hit_rate === null ? "" : lift !== null && lift < -0.02 ? "warn" : "good"),
    tile("Is it better?", lift === null ? "–" : equal ? "as good" : `${lift > 0 ? "+" : "−"}${points} points`,
      lift === null ? "nothing to compare yet" : `${equal ? "as" : "than"} ${now.words[name]}, which has ${percent(best)}${worth}`,
      worthOf(now, lift)),
    tile("Is it surprised?", known(now.surprise_bits) ? `${now.surprise_bits.toFixed(1)} bits` : "–",
      known(now.log_loss_bits) ? `surprise of the last value; ${now.log_loss_bits.toFixed(2)} bits on average` : "nothing scored yet",
      known(now.surprise_bits) && known(now.log_loss_bits) ? now.surprise_bits > now.log_loss_bits + 5 ? "warn" : "good" : "")];
}

function ofNumbers(now) {
  const numbers = now.numbers, size = error => numbers.relative ? percent(error) : short(error);
  const [name, least] = Object.entries(numbers?.baseline_errors ?? {}).sort((a, b) => a[1] - b[1])[0] ?? [];
  const skill = numbers?.skill ?? null, coverage = numbers?.interval_coverage ?? null;
  const kind = numbers?.relative ? "of their mean size is the mean error" : "is the mean absolute error";
  return [
    tile("Does it learn?", numbers ? size(numbers.error) : "–",
      numbers ? `${kind}; ${percent(now.hit_rate)} within tolerance, ${learned(now)}` : learned(now),
      skill === null ? "" : skill < -0.02 ? "warn" : "good"),
    tile("Is it better?", skill === null ? "–" : `${Math.abs(100 * skill).toFixed(1)} % ${skill < 0 ? "more" : "less"}`,
      skill === null ? "nothing to compare yet" : numbers.relative ? "error than by the best baseline of each number" : `error than ${now.words[name]}, which has ${size(least)}`,
      worthOf(now, skill)),
    tile("Do intervals hold?", percent(coverage),
      coverage === null ? "no interval was judged yet" : `of the last values came within; the target is ${percent(now.interval_level)}`,
      coverage === null ? "" : Math.abs(coverage - now.interval_level) < 0.05 ? "good" : "warn")];
}

// What the sentence at the top calls good is good here, too.
function worthOf(now, gain) {
  return gain === null ? "" : now.headline.mood === "good" ? "good" : gain < -0.005 ? "bad" : "warn";
}

function learned(now) {
  if (now.hit_rate === null) return "nothing scored yet";
  return `over the last ${several(now.scored, "prediction")}; ${count(now.events)} values learned since the start`;
}

function keepsUp(now) {
  const behind = now.lag_records > 10 * Math.max(now.events_per_s, 10);
  return tile("Does it keep up?", now.lag_records ? `${count(now.lag_records)} waiting` : "up to date",
    `${now.events_per_s} events/s, ${count(now.dead_letters)} refused`, behind ? "bad" : "good");
}

function isSafe(now) {
  const saved = now.unsaved_partitions === 0 && now.checkpoint_age_s !== null;
  const offsets = Object.values(now.checkpoint_offsets);  // of what was restored, before this process wrote any
  const restored = offsets.length > 0 && offsets.every(offset => offset > 0);
  return tile("Is it safe to restart?", saved ? `saved ${ago(now.checkpoint_age_s)}` : restored ? "saved before" : "not saved yet",
    saved || restored ? "what came since then is replayed, exactly" : "all would be replayed, from the beginning",
    now.checkpoint_failures ? "bad" : saved || restored ? "good" : "warn");
}
