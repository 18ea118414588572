// The page: its state is in the part of the address behind #, so that a link leads to what somebody saw.

const EMPTY = { filter: "", status: "", kind: "", group: "", sort: "outcome", job: "" };
const ROWS_BY_ID = new Map(DATA.columns.id.map((id, row) => [id, row]));
const byId = (id) => document.getElementById(id);

let state = { ...EMPTY };
const grid = new Grid(byId("grid"), COLUMNS, sortBy, (row) => go({ job: idOf(row) }));
const details = new Details(byId("details"), () => go({ job: "" }));

function stateOfAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const found = { ...EMPTY };
  for (const name of Object.keys(EMPTY)) if (given.has(name)) found[name] = given.get(name);
  if (found.group !== "" && DATA.groups[found.group] === undefined) found.group = "";
  return found;
}

/** Change the state, the address and the page. */
function go(changes) {
  const next = { ...state, ...changes };
  const words = Object.entries(next).filter(([name, text]) => text !== EMPTY[name]);
  history.replaceState(null, "", "#" + words.map(([name, text]) => `${name}=${encodeURIComponent(text)}`).join("&"));
  show(next);
}

function show(next) {
  const isSame = grid.columns && ["filter", "status", "kind", "group", "sort"].every((name) => next[name] === state[name]);
  state = next;
  if (!isSame) showJobs();
  const row = ROWS_BY_ID.get(state.job);
  if (row !== undefined && !(details.dialog.open && details.id === state.job)) details.open(row);
  else if (row === undefined && details.dialog.open) details.dialog.close();
}

function showJobs() {
  for (const name of ["status", "kind"]) byId(name).value = state[name];
  if (byId("search").value !== state.filter) byId("search").value = state.filter;
  const rows = chosenRows(state);
  grid.show(rows, state.sort);
  const count = (number) => number.toLocaleString("en");
  const group = state.group === "" ? "" : ` in the group “${DATA.groups[state.group]}”`;
  byId("shown").textContent = `${count(rows.length)} of ${count(DATA.count)} jobs${group}`;
}

function sortBy(name) {
  go({ sort: state.sort === name ? `-${name}` : name });
}

function addOptions(select, names, all) {
  select.append(element("option", { value: "" }, all));
  for (const name of names) select.append(element("option", { value: name }, name));
}

function addFilters() {
  const present = new Set(Array.isArray(DATA.columns.outcome) ? DATA.columns.outcome : [DATA.columns.outcome]);
  const statuses = DATA.outcomes.filter((_, outcome) => present.has(outcome));
  addOptions(byId("status"), ["not passed", ...statuses, "flaky"], "all");
  addOptions(byId("kind"), DATA.texts.kind.slice(LEFT_OUT + 1), "all");
  for (const name of ["status", "kind"]) byId(name).addEventListener("change", (event) => go({ [name]: event.target.value }));
  byId("search").addEventListener("input", (event) => go({ filter: event.target.value }));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => go({ ...EMPTY, sort: state.sort }));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, select, dialog")) return;
    event.preventDefault();
    byId("search").focus();
  });
}

// Charts: drawn when they come into sight, with the colours of the scheme. Their tables are made when they are opened.

const drawn = new Map();

async function draw(place) {
  const style = getComputedStyle(document.documentElement);
  const [text, line] = DATA.colours;
  const item = JSON.stringify(DATA.charts[place.dataset.chart].item)
    .replaceAll(text, style.getPropertyValue("--muted").trim())
    .replaceAll(line, style.getPropertyValue("--line").trim());
  drawn.get(place)?.clear();
  place.replaceChildren();
  drawn.set(place, await Bokeh.embed.embed_item(JSON.parse(item), place));
}

function addChartTable(details) {
  if (details.querySelector("table")) return;
  const { columns, rows } = DATA.charts[details.dataset.chart];
  const cells = (tag, values) => values.map((value) => element(tag, tag === "th" ? { scope: "col" } : {}, String(value)));
  const head = element("thead", {}, element("tr", {}, ...cells("th", columns)));
  const body = element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells("td", row))));
  details.append(element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": details.textContent }, element("table", {}, head, body)));
}

function addCharts() {
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      observer.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "200px" });
  for (const place of document.querySelectorAll("div[data-chart]")) observer.observe(place);
  for (const each of document.querySelectorAll("details[data-chart]")) each.addEventListener("toggle", () => addChartTable(each));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => [...drawn.keys()].forEach(draw));
}

function followAddress() {
  if (!location.hash.includes("=")) return; // a link to a part of the page
  const isOfJobs = !/^#job=[^&]*$/.test(location.hash);
  const next = stateOfAddress();
  // A link to a job leaves the table as it is.
  show(isOfJobs ? next : { ...state, job: next.job });
  if (isOfJobs && next.job === "") {
    byId("jobs").scrollIntoView();
    byId("grid").focus({ preventScroll: true });
  }
}

addFilters();
state = { ...EMPTY, sort: "outcome" };
showJobs();
followAddress();
window.addEventListener("hashchange", followAddress);
document.addEventListener("DOMContentLoaded", () => {
  addCharts(); // the script that draws them comes after this one
  requestAnimationFrame(() => performance.mark("usable"));
});
