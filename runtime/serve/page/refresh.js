// Loads the page again while it may change, and replaces what it shows; unless somebody is in the middle of something.
"use strict";

async function refresh() {
  const main = document.querySelector("main");
  const isBusy = main.contains(document.activeElement) || String(document.getSelection());
  if (!isBusy && !document.hidden) {
    try {
      const response = await fetch(location.href);
      if (response.ok) {
        const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("main");
        const log = main.querySelector(".log");
        const isAtEnd = log && log.scrollTop + log.clientHeight >= log.scrollHeight - 5;
        main.replaceWith(fresh);
        const next = fresh.querySelector(".log");
        if (next && isAtEnd) next.scrollTop = next.scrollHeight;
      }
    } catch {
      // The server is gone, or restarts: the next time.
    }
  }
  wait();
}

function wait() {
  const seconds = Number(document.querySelector("main").dataset.refresh);
  if (seconds) setTimeout(refresh, 1000 * seconds);
}

const log = document.querySelector(".log");
if (log && document.querySelector("main").dataset.refresh) log.scrollTop = log.scrollHeight;
wait();
