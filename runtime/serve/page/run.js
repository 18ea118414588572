// Follows a run. Texts are set as text, never as markup: they come from jobs.
"use strict";

const main = document.getElementById("run");
const address = main.dataset.address;
const COUNTS = ["passed", "failed", "killed", "infrastructure", "known", "never_ran", "running", "waiting"];
const ALWAYS = ["passed", "failed", "running", "waiting"];
let shown = null;
let shownAt = 0;

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (whole < 60) return `${whole} s`;
  if (!parts[0]) parts.shift();
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

function cell(row, index, make) {
  while (row.cells.length <= index) row.insertCell();
  make(row.cells[index]);
}

function jobCell(td, job) {
  let link = td.firstChild;
  if (!link) {
    link = document.createElement("a");
    td.append(link);
  }
  const target = `${address}/jobs/${Number(job.number)}`;
  if (link.getAttribute("href") !== target) link.setAttribute("href", target);
  setText(link, job.id);
}

// Rows stay the same elements as long as their keys stay, so that the focus, and what is selected, stay where they are.
function fillTable(id, rows, key, fill) {
  const table = document.getElementById(id);
  const body = table.tBodies[0];
  const before = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  rows.forEach((item, index) => {
    const name = String(key(item));
    const row = before.get(name) || document.createElement("tr");
    before.delete(name);
    row.dataset.key = name;
    fill(row, item);
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] || null);
  });
  for (const row of before.values()) row.remove();
  table.closest("section").hidden = !rows.length;
}

function fillCounts(counts) {
  const list = document.getElementById("counts");
  for (const name of COUNTS) {
    let item = list.querySelector(`[data-name="${name}"]`);
    if (!item) {
      item = document.createElement("li");
      item.dataset.name = name;
      list.append(item);
    }
    setText(item, `${counts[name]} ${name.replace("_", " ")}`);
    item.className = counts[name] ? name : "";
    item.hidden = !counts[name] && !ALWAYS.includes(name);
  }
}

function showTimes() {
  if (!shown) return;
  const passed = shown.state === "running" ? (Date.now() - shownAt) / 1000 : 0;
  const elapsed = shown.elapsed === null ? "" : `for ${duration(shown.elapsed + passed)}`;
  setText(document.getElementById("elapsed"), shown.state === "ended" ? elapsed.replace("for", "after") : elapsed);
  for (const id of ["running", "waiting"]) {
    shown[id].forEach((job, index) => {
      const row = document.getElementById(id).tBodies[0].rows[index];
      if (row) cell(row, 1, (td) => setText(td, duration(job.seconds + passed)));
    });
  }
}

function show(snapshot) {
  if (!shown) requestAnimationFrame(() => performance.mark("usable"));
  shown = snapshot;
  shownAt = Date.now();
  const state = document.getElementById("state");
  setText(state, snapshot.state);
  state.className = `word ${snapshot.state}`;
  setText(document.getElementById("title"), snapshot.title);
  setText(document.getElementById("note"), snapshot.note);
  const progress = document.getElementById("progress");
  progress.max = Math.max(1, snapshot.total);
  progress.value = snapshot.done;
  setText(document.getElementById("done"), `${snapshot.done} of ${snapshot.total} done`);
  fillCounts(snapshot.counts);
  const more = snapshot.bucket_count - snapshot.buckets.length;
  setText(document.getElementById("bucket-count"), more > 0 ? `(and ${more} more messages)` : "");
  fillTable("buckets", snapshot.buckets, (item) => `${item.rule} ${item.message}`, (row, item) => {
    cell(row, 0, (td) => { td.className = "number"; setText(td, String(item.count)); });
    cell(row, 1, (td) => setText(td, item.rule ? `${item.message} (a rule of the job file)` : item.message));
    cell(row, 2, (td) => jobCell(td, item));
  });
  fillTable("failures", snapshot.failures, (item) => item.number, (row, item) => {
    cell(row, 0, (td) => { td.className = `word ${item.status}`; setText(td, item.status); });
    cell(row, 1, (td) => jobCell(td, item));
    cell(row, 2, (td) => setText(td, item.message));
  });
  for (const id of ["running", "waiting"]) {
    fillTable(id, snapshot[id], (item) => item.number, (row, item) => {
      cell(row, 0, (td) => jobCell(td, item));
      cell(row, 1, (td) => { td.className = "number"; });
      cell(row, 2, (td) => setText(td, item.note));
    });
  }
  showTimes();
}

const events = new EventSource(`${address}/events`);
events.addEventListener("message", (event) => show(JSON.parse(event.data)));
events.addEventListener("last", (event) => {
  events.close();
  show(JSON.parse(event.data));
});
events.addEventListener("error", () => {
  const closed = events.readyState === EventSource.CLOSED;
  setText(document.getElementById("note"), closed ? "no connection; reload the page" : "no connection; trying again");
});
setInterval(showTimes, 1000);
