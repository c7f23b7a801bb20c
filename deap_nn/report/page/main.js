/* Drawing the page. */

function renderRun(run) {
  document.getElementById("top").replaceChildren(...headOf(run).filter(Boolean));
  document.getElementById("content").replaceChildren(...partsOf(run));
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
if (data.runs) renderComparison(data.runs);
else renderRun(data);
if (data.status?.state === "running") setTimeout(() => location.reload(), 5000);  // a run in progress rewrites it
