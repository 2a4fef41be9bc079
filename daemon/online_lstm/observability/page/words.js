// How figures and values are written, and elements made. What comes from a stream is set as text, never as markup.
export function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  if (className) element.className = className;
  return element;
}
export function draw(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
export const known = value => value !== null && value !== undefined;
export const percent = rate => known(rate) ? `${(100 * rate).toFixed(1)} %` : "–";
export const count = number => Number(number).toLocaleString("en");
export const several = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
export const flat = value => Array.isArray(value) ? value.flat(3) : [value];
export const short = number => known(number) ? String(Number(number.toPrecision(4))) : "–";
export function text(value) {
  if (!known(value)) return "–";
  if (Array.isArray(value)) return value.map(text).join(", ");
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(6))) : String(value);
}
export function ago(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}
export const placed = (stream, topic, partition) => stream ?? `${topic}/${partition}`;
