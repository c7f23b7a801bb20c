"use strict";

/* Elements, numbers, and the state that is kept while a part of the page is redrawn. */

const remembered = { positions: {}, open: {} };

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

const draw = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function short(value, digits = 4) {
  if (!isNumber(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2).replace("e+", "e").replace("-", "−");
  if (Number.isInteger(value)) return grouped(value);
  const rounded = Number(value.toPrecision(digits));
  return size >= 1000 ? grouped(rounded) : String(rounded).replace("-", "−");
}

const grouped = (value) => String(value).replace("-", "−").replace(/\B(?=(\d{3})+(?!\d))/g, ",");

const percent = (value, digits = 1) => (isNumber(value) ? `${(100 * value).toFixed(digits)}\u00a0%` : "–");

function duration(seconds) {
  if (!isNumber(seconds)) return "–";
  if (seconds < 1) return `${short(1000 * seconds, 3)} ms`;
  if (seconds < 60) return `${short(seconds, 3)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const count = (number, one, many) => `${grouped(number)} ${number === 1 ? one : many || `${one}s`}`;

function unpack(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Kind(bytes.buffer);
}

function range(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (isNumber(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  return low <= high ? [low, high] : [0, 1];
}

/* Details that stay open when their part is redrawn; their content is made when they are opened. */
function details(id, summary, content, printed = false) {
  const node = make("details", { id, "data-print": printed }, make("summary", {}, summary));
  const open = () => { if (node.open && node.children.length === 1) node.append(content()); };
  node.addEventListener("toggle", () => { open(); remembered.open[id] = node.open; });
  if (remembered.open[id]) { node.open = true; open(); }
  node.openForPrint = () => { node.open = true; open(); };
  return node;
}

function table(caption, heads, rows, kind = "") {
  const row = ([first, ...rest]) =>
    make("tr", {}, make("th", { scope: "row" }, first), rest.map((cell) => (cell instanceof Element && cell.tagName === "TD" ? cell : make("td", {}, cell))));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make("table", { class: kind },
      make("caption", {}, caption),
      heads ? make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))) : null,
      make("tbody", {}, rows.map(row))));
}

const barCell = (part) => make("td", { class: "bars", "aria-hidden": "true" }, make("span", { class: "bar", style: `width: ${6 * part}rem` }));

/* A slider with its value as text beside it. */
function slider(id, label, size, describe, act, playable = false) {
  const start = Math.min(remembered.positions[id] ?? size - 1, size - 1);
  const input = make("input", { type: "range", id, min: 0, max: Math.max(0, size - 1), step: 1, value: start });
  const output = make("output", { for: id });
  const show = (place) => {
    input.value = place;
    if (place >= size - 1) delete remembered.positions[id];
    else remembered.positions[id] = place;
    output.textContent = describe(place);
    input.setAttribute("aria-valuetext", act(place) || describe(place));
  };
  input.addEventListener("input", () => show(Number(input.value)));
  const control = make("div", { class: "control" }, make("label", { for: id }, label), input, output);
  if (playable && size > 1) control.append(playButton(input, show, size));
  return { control, show, place: () => Number(input.value), start: () => show(start) };
}

function playButton(input, show, size) {
  let timer = null;
  const button = make("button", { type: "button", id: `${input.id}-play` }, "Play");
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(input.value) >= size - 1) show(0);
    button.textContent = "Pause";
    timer = setInterval(() => {
      if (!input.isConnected || Number(input.value) >= size - 1) return stop();
      show(Number(input.value) + 1);
    }, 120);
  });
  return button;
}
