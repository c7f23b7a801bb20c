/* Drawing the page, once, or repeatedly while a run is in progress. */

const drawnFrom = {};

function renderRun(run) {
  const content = document.getElementById("content"), focused = document.activeElement && document.activeElement.id;
  const sections = partsOf(run).map(([id, source, build]) => {
    const text = JSON.stringify(source), there = document.getElementById(id);
    if (there && drawnFrom[id] === text) return there;
    drawnFrom[id] = text;
    return build();
  });
  if (sections.length !== content.children.length || sections.some((part, i) => content.children[i] !== part)) content.replaceChildren(...sections);
  document.getElementById("top").replaceChildren(...headOf(run, sections).filter(Boolean));
  if (focused && document.activeElement === document.body) {
    const again = document.getElementById(focused);
    if (again) again.focus({ preventScroll: true });
  }
}

/* Request the run repeatedly, and redraw the parts that have changed. */
async function follow(seconds) {
  const top = document.getElementById("top"), foot = document.querySelector("footer");
  let tag = null, going = true;
  const say = (text) => { if (foot.textContent !== text) foot.textContent = text; };
  while (going) {
    try {
      const answer = await fetch(`data.json${location.search}`, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.status === 200) {
        tag = answer.headers.get("ETag");
        const run = await answer.json();
        if (run.waiting) {
          if (!top.children.length) top.append(make("h1", {}, document.title));
          say(`Nothing to show yet: ${run.waiting}`);
        } else {
          renderRun(run);
          document.title = `${run.name}: generation ${run.logbook.gen[run.logbook.gen.length - 1]}`;
          say(run.status.state === "running" ? "This page follows the run." : "The run has ended.");
        }
      }
    } catch (error) {
      say("The run cannot be reached; this page tries again.");
    }
    await new Promise((wake) => setTimeout(wake, 1000 * seconds));
  }
}

/* On paper a figure gets the width of a column, so that its letters have the size of the text. */
function openForPrint() {
  const figures = [...document.querySelectorAll("[data-drawn]")];
  figures.forEach((box) => box.redraw(box.clientWidth > 640 ? 680 : 330));
  const closed = [...document.querySelectorAll("details[data-print]:not([open])")];
  closed.forEach((node) => node.openForPrint());
  addEventListener("afterprint", () => {
    closed.forEach((node) => { node.open = false; });
    figures.forEach((box) => box.redraw(box.clientWidth));
  }, { once: true });
}

const data = JSON.parse(document.getElementById("data").textContent);
addEventListener("beforeprint", openForPrint);
if (data.live) follow(data.seconds);
else if (data.runs) renderComparison(data.runs);
else renderRun(data);
