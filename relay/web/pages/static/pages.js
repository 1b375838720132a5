/* Spares clicks; every page works without it.

   A part with data-live is read anew when the relay says that something happened.
   j and k go through rows with data-row, Enter opens one, / goes to the search.
   A problem's line and column lead to their place in the draft. */
"use strict";

(() => {
  const PAUSE = 400; // milliseconds between two readings of a page

  let waiting = false;
  const changed = () => {
    if (waiting || document.hidden) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      // What somebody reads or goes through by keys is not taken from under their hands.
      if (!document.querySelector("[data-live] :focus")) {
        document.body.dispatchEvent(new Event("relay-changed"));
      }
    }, PAUSE);
  };

  if (document.querySelector("[data-live]")) {
    const events = new EventSource("/api/v1/events");
    for (const kind of ["accepted", "attempted", "bounced", "resync"]) {
      events.addEventListener(kind, changed);
    }
    addEventListener("pagehide", () => events.close());
  }

  const typing = (target) => target.closest("input, textarea, select, [contenteditable]");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) { event.preventDefault(); search.focus(); }
      return;
    }
    if (event.key !== "j" && event.key !== "k") return;
    const links = [...document.querySelectorAll("[data-row]")]
      .map((row) => row.querySelector("a[href]")).filter(Boolean);
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const next = event.key === "j" ? at + 1 : Math.max(at, 1) - 1;
    links[Math.min(next, links.length - 1)].focus();
  });

  document.addEventListener("click", (event) => {
    const place = event.target.closest("[data-line]");
    if (!place) return;
    const text = document.getElementById(place.dataset.for);
    const lines = text.value.split("\n");
    const line = Math.min(Number(place.dataset.line), lines.length);
    const before = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    const from = before + Math.min(Number(place.dataset.column) - 1, lines[line - 1].length);
    text.focus();
    text.setSelectionRange(from, before + lines[line - 1].length);
    text.scrollTop = ((line - 3) / lines.length) * text.scrollHeight;
  });
})();
