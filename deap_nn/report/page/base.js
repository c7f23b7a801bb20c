"use strict";

/* Elements, numbers, and the place that a page shows. */

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

const sum = (values) => values.reduce((total, value) => total + value, 0);

function range(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (isNumber(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  return low <= high ? [low, high] : [0, 1];
}

/* The last place of sorted numbers that is not above a value, or -1. */
function placeOf(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) { const middle = (low + high) >> 1; if (sorted[middle] <= value) low = middle + 1; else high = middle; }
  return low - 1;
}

/* Details, whose content is made when they are opened. */
function details(id, summary, content, printed = false) {
  const node = make("details", { id, "data-print": printed }, make("summary", {}, summary));
  const open = () => { if (node.open && node.children.length === 1) node.append(content()); };
  node.addEventListener("toggle", open);
  node.openForPrint = () => { node.open = true; open(); };
  return node;
}

/* A table; on a narrow page each row of the kind "list" is a list. */
function table(caption, heads, rows, kind = "") {
  const row = ([first, ...rest]) =>
    make("tr", {}, make("th", { scope: "row" }, first), rest.map((cell, i) => (cell instanceof Element && cell.tagName === "TD" ? cell : make("td", { "data-head": heads && heads[i + 1] }, cell))));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make("table", { class: kind },
      make("caption", {}, caption),
      heads && make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, rows.map(row))));
}

const barCell = (part) => make("td", { class: "bars", "aria-hidden": "true" }, make("span", { class: "bar", style: `width: ${6 * part}rem` }));

/*
What is moved along: places (rising numbers), a slider with Play, and what follows it. A pointer over a chart peeks at a place
and snaps back when it leaves; a click pins one, and the address keeps it.
*/
function timeline(id, label, places) {
  const last = places.length - 1, followers = [];
  const input = make("input", { type: "range", id, min: 0, max: last, step: 1 });
  const output = make("output", { for: id });
  const button = make("button", { type: "button", id: `${id}-play` }, "Play");
  const asked = Number(new URLSearchParams(location.hash.slice(1)).get(id) ?? NaN);
  let pinned = asked <= places[last] ? Math.max(0, placeOf(places, asked)) : last, timer = null;
  const peek = (place) => {
    input.value = place;
    output.textContent = short(places[place], 6);
    const [said] = followers.map((follow) => follow(places[place]));
    input.setAttribute("aria-valuetext", `${label} ${short(places[place], 6)}; ${said || ""}`);
  };
  const pin = (place) => {
    pinned = place;
    history.replaceState(null, "", place < last ? `#${id}=${places[place]}` : "#");
    peek(place);
  };
  const nearest = (value) => {
    const left = Math.max(0, placeOf(places, value));
    return left < last && places[left + 1] - value < value - places[left] ? left + 1 : left;
  };
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (pinned === last) pin(0);
    button.textContent = "Pause";
    timer = setInterval(() => { pin(Math.min(last, pinned + Math.ceil(last / 120))); if (pinned === last) stop(); }, 80);
  });
  input.addEventListener("input", () => pin(Number(input.value)));
  return {
    control: make("div", { class: "control" }, make("label", { for: id }, label), input, output, last ? button : null),
    follow: (act) => followers.push(act),
    value: () => places[Number(input.value)],
    over: (value) => peek(nearest(value)),
    leave: () => peek(pinned),
    pin: (value) => pin(nearest(value)),
  };
}
