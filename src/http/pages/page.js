// Says on the page when the daemon does not answer any more, since what stands there is old then, and when it answers again; tells the point of a
// line that a pointer is near, and leaves out the features that a search does not name while it is written. Everything on the pages works without this.
"use strict";

for (const svg of document.querySelectorAll("svg[data-plot]")) {
  const path = svg.querySelector("path.value");
  if (!path) continue;
  const points = [...path.getAttribute("d").matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
  const values = svg.dataset.values.split(" ");
  const [left, width] = svg.dataset.plot.split(" ").map(Number);
  const [from, to] = [Number(svg.dataset.from), Number(svg.dataset.to)];
  const make = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const mark = make("circle", { r: 4, fill: "none", stroke: "var(--fg)" });
  const told = make("text", { class: "told", y: 20, "text-anchor": "middle" });
  svg.addEventListener("pointermove", (event) => {
    const at = ((event.clientX - svg.getBoundingClientRect().left) / svg.getBoundingClientRect().width) * svg.viewBox.baseVal.width;
    let near = 0;
    points.forEach(([x], index) => {
      if (Math.abs(x - at) < Math.abs(points[near][0] - at)) near = index;
    });
    const [x, y] = points[near];
    const time = new Date(from + ((x - left) / width) * (to - from) + 30_000).toISOString().slice(0, 16).replace("T", " ");
    mark.setAttribute("cx", x);
    mark.setAttribute("cy", y);
    told.setAttribute("x", Math.min(Math.max(x, left + 90), left + width - 90));
    told.textContent = `${time} UTC: ${values[near]}`;
    svg.append(mark, told);
  });
  svg.addEventListener("pointerleave", () => {
    mark.remove();
    told.remove();
  });
}

for (const input of document.querySelectorAll("input[name=find]")) {
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    for (const row of document.querySelectorAll("[aria-label^='Features of '] tbody tr")) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
    }
  });
}

(() => {
  const EVERY_MS = 5000;
  const clock = (at) => at.toISOString().slice(11, 19) + " UTC";
  const read = new Date();
  let notice = null;

  function say(words) {
    if (!notice) {
      notice = document.createElement("div");
      notice.setAttribute("role", "alert");
      document.getElementById("main").prepend(notice);
    }
    notice.className = "notice block";
    notice.replaceChildren(Object.assign(document.createElement("p"), { textContent: words }));
  }

  async function ask() {
    try {
      const answer = await fetch("/live", { cache: "no-store", signal: AbortSignal.timeout(EVERY_MS - 1000) });
      if (!answer.ok) throw new Error(answer.status);
      if (document.documentElement.classList.contains("stopped")) {
        document.documentElement.classList.remove("stopped");
        say(`driftgate answers again. This page is of ${clock(read)}: reload it.`);
      }
    } catch {
      if (!document.documentElement.classList.contains("stopped")) {
        document.documentElement.classList.add("stopped");
        say(`driftgate has not answered since ${clock(new Date())}. This page is of ${clock(read)}, and nothing of it may hold any more.`);
      }
    }
    setTimeout(ask, EVERY_MS);
  }
  setTimeout(ask, EVERY_MS);
})();
