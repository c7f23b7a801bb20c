/* The family of the best member: founders, and the tree of its ancestors. */

function familySection(family) {
  const last = family.surviving[family.surviving.length - 1];
  const charts = lineChart("family-generation", {
    title: "Descendants and ancestors by generation", xLabel: "generation", x: family.generations, whole: true, from: 0, format: (value) => short(value),
    series: [
      { name: "founders with descendants", colour: 0, y: family.surviving },
      { name: `ancestors of the ${family.of}`, colour: 1, dash: 1, y: family.ancestors },
    ],
  });
  const how = family.around_centre
    ? "The children of a generation lie around one centre, which moves by the recombination weights of the generation before. So all members descend from one founder, the first centre."
    : "The expected share of a founder assumes that the parents of a child contribute equally; the masks decided the true shares.";
  return section("family", "Family of the best",
    make("p", {}, `The ${family.of} of generation ${grouped(family.generation)}, ${count(last, "founder")} of ${grouped(family.members)} with descendants in the last generation.`),
    make("p", { class: "note" }, how),
    make("div", { class: "columns" }, treeFigure(family), make("div", {}, charts, family.around_centre ? null : foundersTable(family))));
}

function foundersTable(family) {
  const most = Math.max(...family.founders.map((founder) => founder.share));
  const more = family.founders_in_all - family.founders.length;
  return table(`Founders, by their expected share${more > 0 ? ` (and ${grouped(more)} more)` : ""}`, ["member of the initial population", "share", ""],
    family.founders.map((founder) => [String(founder.place), percent(founder.share),
      barCell(founder.share / most)]));
}

/* The nodes of a tree with their places at a given width, and the lines between them. */
function layTree(family, width) {
  const { tree } = family, left = 62, rowHeight = 62, top = 24;
  const nodes = [], links = [], centres = [];
  const firsts = tree.map((level, row) => {
    const first = nodes.length, largest = Math.max(...level.members.map((member) => member.share));
    level.members.forEach((member, i) => {
      const text = `member ${member.place} of generation ${level.generation}: fitness ${short(member.fitness)}, ${family.around_centre && row ? "weight in the centre" : "expected share"} ${percent(member.share)}`;
      const x = left + ((width - left) * (i + 0.5)) / level.members.length, y = top + row * rowHeight;
      const node = draw("g", { class: `node${row ? "" : " first"}` }, draw("title", {}, text),
        draw("circle", { cx: x, cy: y, r: 3.5 + 6.5 * Math.sqrt(member.share / largest) }), draw("text", { x, y: y + 22 }, String(member.place)));
      nodes.push({ node, x, y, row, i, member, text, parents: [], links: [] });
    });
    return first;
  });
  const link = (from, to) => {
    const path = draw("path", { d: `M${from.x} ${from.y}L${to.x} ${to.y}`, class: "link" });
    links.push(path);
    return path;
  };
  tree.slice(0, -1).forEach((level, row) => {
    const centre = { x: left + (width - left) / 2, y: top + (row + 0.62) * rowHeight }, halves = new Map();
    const half = (node) => { if (!halves.has(node)) halves.set(node, link(node, centre)); return halves.get(node); };
    if (family.around_centre) centres.push(draw("path", { d: `M${centre.x} ${centre.y - 6}l6 6l-6 6l-6 -6z`, class: "centre" }, draw("title", {}, `centre of generation ${level.generation}`)));
    for (const [child, parent] of level.edges) {
      const one = nodes[firsts[row] + child], other = nodes[firsts[row + 1] + parent];
      one.parents.push(other);
      one.links.push(...(family.around_centre ? [half(one), half(other)] : [link(one, other)]));
    }
  });
  const labels = tree.map((level, row) => draw("g", {},
    draw("text", { x: 0, y: top + row * rowHeight + 1 }, `gen ${level.generation}`),
    draw("text", { x: 0, y: top + row * rowHeight + 15 }, level.in_all > level.members.length ? `${level.members.length} of ${level.in_all}` : "")));
  return { nodes, links, firsts, shapes: [...links, ...centres, ...labels, ...nodes.map((one) => one.node)], height: top + tree.length * rowHeight - 10 };
}

function treeFigure(family) {
  const { tree } = family;
  const said = make("p", { class: "note hint", "aria-live": "polite" }, "Point at a member, or move with the arrow keys.");
  let laid = layTree(family, 480), current = 0;
  const choose = (place) => {
    current = place;
    const { nodes, links } = laid, one = nodes[place];
    for (const part of [...nodes.map((other) => other.node), ...links]) part.classList.remove("chosen");
    for (const part of [one.node, ...one.links, ...one.parents.map((parent) => parent.node)]) part.classList.add("chosen");
    said.textContent = one.text + (one.parents.length ? `; ${count(one.parents.length, "parent")} in the tree` : "");
  };
  const step = (rows, columns) => {
    const { row, i } = laid.nodes[current], other = tree[row + rows];
    if (other) choose(laid.firsts[row + rows] + Math.max(0, Math.min(other.members.length - 1, i + columns)));
  };
  const keys = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const picture = draw("svg", { class: "tree", id: "family-tree", tabindex: "0", role: "group",
    "aria-label": `Family tree of the ${family.of}, ${count(tree.length - 1, "generation")} back; the arrow keys go from member to member`,
    on: {
      keydown: (event) => { if (keys[event.key]) { event.preventDefault(); step(...keys[event.key]); } },
      focus: () => choose(current),
    } });
  const box = make("div", {}, picture);
  box.redraw = (width) => {
    const wide = Math.min(640, Math.round(width));
    laid = layTree(family, wide);
    picture.setAttribute("viewBox", `0 0 ${wide} ${laid.height}`);
    picture.replaceChildren(...laid.shapes);
    laid.nodes.forEach((one, place) => one.node.addEventListener("pointerenter", () => choose(place)));
  };
  drawByWidth(box);
  const rows = () => laid.nodes.map(({ row, member, parents }) => [String(tree[row].generation), String(member.place), short(member.fitness), percent(member.share), parents.map((parent) => parent.member.place).join(", ")]);
  return make("figure", {}, make("figcaption", {}, `${count(tree.length - 1, "generation")} back`), box, said,
    details("family-numbers", "Numbers", () => table("Ancestors drawn, by generation", ["generation", "member", "fitness", "share", "parents drawn"], rows())));
}
