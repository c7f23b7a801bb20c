/* Who descends from whom. */

function familySection(family) {
  const last = family.surviving[family.surviving.length - 1];
  const charts = lineChart("family-generation", {
    title: "How many of a generation count", xLabel: "generation", x: family.generations, whole: true, from: 0, format: (value) => short(value),
    series: [
      { name: "of the initial population with descendants", colour: 0, y: family.surviving },
      { name: `of the generation among the ancestors of the ${family.of}`, colour: 1, dash: 1, y: family.ancestors },
    ],
  });
  const how = family.around_centre
    ? "All the chosen of a generation are mated at once: the children of the next lie around one centre, a step towards the mean of those chosen. So all descend from one founder, whose place the first centre takes."
    : "An expected share counts the parents who were mated as equals in their children; which loci came from whom, the masks decided.";
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
      make("td", { class: "bars", "aria-hidden": "true" }, make("span", { class: "bar", style: `width: ${(6 * founder.share) / most}rem` }))]));
}

function treeFigure(family) {
  const tree = family.tree, width = 480, left = 64, rowHeight = 62, top = 24;
  const height = top + tree.length * rowHeight - 10;
  const largest = tree.map((level) => Math.max(...level.members.map((member) => member.share)));
  const nodes = [], links = [], byPlace = new Map();
  tree.forEach((level, row) => level.members.forEach((member, i) => {
    const x = left + ((width - left) * (i + 0.5)) / level.members.length, y = top + row * rowHeight;
    const text = `member ${member.place} of generation ${level.generation}: fitness ${short(member.fitness)}, ${family.around_centre && row ? "weight in the centre" : "expected share"} ${percent(member.share)}`;
    const node = draw("g", { class: `node${row ? "" : " first"}` },
      draw("title", {}, text),
      draw("circle", { cx: x, cy: y, r: 3.5 + 6.5 * Math.sqrt(member.share / largest[row]) }),
      level.members.length <= 14 ? draw("text", { x, y: y + 22 }, String(member.place)) : null);
    byPlace.set(`${row} ${i}`, nodes.length);
    nodes.push({ node, x, y, row, i, text, parents: [], links: [] });
  }));
  const centres = [];
  tree.slice(0, -1).forEach((level, row) => {
    const y = top + (row + 0.62) * rowHeight, x = left + (width - left) / 2;
    if (family.around_centre) centres.push(draw("path", { d: `M${x} ${y - 6}l6 6l-6 6l-6 -6z`, class: "centre" }, draw("title", {}, `centre that generation ${level.generation} was made around`)));
    for (const [child, parent] of level.edges) {
      const one = nodes[byPlace.get(`${row} ${child}`)], other = nodes[byPlace.get(`${row + 1} ${parent}`)];
      const d = family.around_centre ? `M${one.x} ${one.y}L${x} ${y}L${other.x} ${other.y}` : `M${one.x} ${one.y}L${other.x} ${other.y}`;
      const link = draw("path", { d, class: "link" });
      links.push(link);
      one.parents.push(other);
      one.links.push(link);
    }
  });
  const labels = tree.map((level, row) => draw("g", {},
    draw("text", { x: 0, y: top + row * rowHeight + 1 }, `gen ${level.generation}`),
    draw("text", { x: 0, y: top + row * rowHeight + 15 }, level.in_all > level.members.length ? `${level.members.length} of ${level.in_all}` : "")));
  const said = make("p", { class: "note", "aria-live": "polite" }, "Point at a member, or move with the arrow keys.");
  let current = 0;
  const choose = (place) => {
    current = place;
    for (const part of [...nodes.map((one) => one.node), ...links]) part.classList.remove("chosen");
    const walk = (one) => { one.node.classList.add("chosen"); one.links.forEach((link) => link.classList.add("chosen")); };
    walk(nodes[place]);
    nodes[place].parents.forEach((parent) => parent.node.classList.add("chosen"));
    said.textContent = nodes[place].text + (nodes[place].parents.length ? `, ${count(nodes[place].parents.length, "parent")} drawn` : "");
  };
  const step = (rows, columns) => {
    const { row, i } = nodes[current], own = tree[row + rows];
    if (!own) return;
    choose(byPlace.get(`${row + rows} ${Math.max(0, Math.min(own.members.length - 1, i + columns))}`));
  };
  const keys = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const picture = draw("svg", { class: "tree", id: "family-tree", viewBox: `0 0 ${width} ${height}`, tabindex: "0", role: "group",
    "aria-label": `Family tree of the ${family.of}, ${tree.length} generations back; arrow keys move between members`,
    on: {
      keydown: (event) => { if (keys[event.key]) { event.preventDefault(); step(...keys[event.key]); } },
      focus: () => choose(current),
    } }, links, centres, labels, nodes.map((one) => one.node));
  nodes.forEach((one, place) => one.node.addEventListener("pointerenter", () => choose(place)));
  return make("figure", {}, make("figcaption", {}, `${tree.length} generations back`), picture, said,
    details("family-numbers", "Numbers", () => table("Ancestors drawn, by generation", ["generation", "member", "fitness", "share", "parents"],
      nodes.map((one) => { const level = tree[one.row], member = level.members[one.i];
        return [String(level.generation), String(member.place), short(member.fitness), percent(member.share), one.parents.map((parent) => tree[parent.row].members[parent.i].place).join(", ")]; }))));
}
