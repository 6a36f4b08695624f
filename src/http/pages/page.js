// Says on the page when the daemon does not answer any more, since what stands there is old then, and when it answers again. Everything
// else on the pages works without this.
"use strict";
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
