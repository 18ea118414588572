"use strict";
// The jobs of the run, read from the columns in the page. A column whose values are all equal is that value.

const DATA = JSON.parse(document.getElementById("data").textContent);
const NOT_KNOWN = -1;
const LEFT_OUT = 1; // the index of a text for which the page had no room
const PASSED = DATA.outcomes.indexOf("passed");
const FLAKY = 1;
const REMOVED = 2;
const BAD_INDICES = new Map(DATA.bad.rows.map((row, index) => [row, index]));
// Failures first: in the order in which somebody looks at them.
const RANKS = DATA.outcomes.map((_, outcome) => (outcome === PASSED ? DATA.outcomes.length : outcome));

const valueOf = (column, row) => (Array.isArray(column) ? column[row] : column);
const number = (name, row) => valueOf(DATA.columns[name], row);
const idOf = (row) => DATA.columns.id[row];
const outcomeOf = (row) => number("outcome", row);
const isFlaky = (row) => (number("flags", row) & FLAKY) !== 0;

/** Put back what the template of a text of a job stands for; null if there is no such text. */
function filled(template, row) {
  if (template === null) return null;
  const id = idOf(row);
  return template.replace(/[\x01\x02\x03]/g, (mark) => {
    if (mark === "\x01") return id;
    return mark === "\x02" ? id.replaceAll("=", "@") : /\.seed=([0-9]+)$/.exec(id)[1];
  });
}

function textOf(name, row) {
  return filled(DATA.texts[name][number(name, row)], row);
}

/** Return what only jobs that did not pass have: their bucket, excerpt and command. */
function badValue(name, row) {
  const index = BAD_INDICES.get(row);
  return index === undefined ? NOT_KNOWN : valueOf(DATA.bad[name], index);
}

function badText(name, row) {
  const index = badValue(name, row);
  if (index === NOT_KNOWN) return null;
  const found = DATA.texts[name][index];
  return name === "excerpt" ? found : filled(found, row);
}

const isLeftOut = (name, row) => badValue(name, row) === LEFT_OUT;

/** Return the URL of the log; null without a link. Each part is encoded, so none can be a scheme or lead upwards. */
function logOf(row) {
  const path = textOf("log", row);
  if (path === null || DATA.base === null || number("flags", row) & REMOVED) return null;
  return DATA.base + path.split("/").map(encodeURIComponent).join("/");
}

function reasonOf(row) {
  const message = textOf("message", row);
  if (message !== null) return message;
  return number("message", row) === LEFT_OUT ? "(not in this file)" : isFlaky(row) ? "flaky: passed after a failure" : "";
}

function duration(milliseconds) {
  if (milliseconds === NOT_KNOWN) return "";
  if (milliseconds < 60000) return (milliseconds / 1000).toFixed(1) + " s";
  const all = Math.round(milliseconds / 1000);
  const two = (part) => String(part).padStart(2, "0");
  const hours = Math.floor(all / 3600);
  const minutes = Math.floor(all / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(all % 60)}` : `${minutes}:${two(all % 60)}`;
}

const COLUMNS = [
  { name: "outcome", title: "Outcome", text: (row) => DATA.outcomes[outcomeOf(row)], key: (row) => RANKS[outcomeOf(row)] },
  { name: "job", title: "Job", text: idOf, key: idOf },
  { name: "group", title: "Group", text: groupText, key: groupKey },
  { name: "reason", title: "Reason", text: reasonOf, key: reasonOf },
  { name: "began", title: "Began", text: (row) => duration(number("began", row)), key: (row) => number("began", row) },
  { name: "waited", title: "Waited", text: (row) => duration(number("waited", row)), key: (row) => number("waited", row) },
  { name: "ran", title: "Ran", text: (row) => duration(number("ran", row)), key: (row) => number("ran", row) },
  { name: "attempt", title: "Attempt", text: (row) => String(number("attempt", row) || ""), key: (row) => number("attempt", row) },
];

function groupText(row) {
  const group = badValue("bucket", row);
  return group === NOT_KNOWN ? "" : `${group + 1}`;
}

function groupKey(row) {
  const group = badValue("bucket", row);
  return group === NOT_KNOWN ? Infinity : group;
}

let searched = null; // the text of each job that is searched, made for the first search

function searchedText(row) {
  searched ??= new Array(DATA.count);
  const kind = DATA.texts.kind[number("kind", row)] ?? "";
  return (searched[row] ??= `${idOf(row)} ${kind} ${reasonOf(row)}`.toLowerCase());
}

/** Return the rows of the jobs that a filter chooses, in the order of its `sort`. */
function chosenRows(filter) {
  const words = filter.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const kind = filter.kind ? DATA.texts.kind.indexOf(filter.kind) : 0;
  const group = filter.group === "" ? NOT_KNOWN : Number(filter.group);
  const rows = [];
  for (let row = 0; row < DATA.count; row++) {
    if (!hasStatus(row, filter.status)) continue;
    if (kind && number("kind", row) !== kind) continue;
    if (group !== NOT_KNOWN && badValue("bucket", row) !== group) continue;
    if (words.length && !words.every((word) => searchedText(row).includes(word))) continue;
    rows.push(row);
  }
  return sorted(rows, filter.sort);
}

function hasStatus(row, status) {
  if (status === "") return true;
  if (status === "not passed") return outcomeOf(row) !== PASSED;
  return status === "flaky" ? isFlaky(row) : DATA.outcomes[outcomeOf(row)] === status;
}

/** Sort rows by a column; those that are equal stay in the order of the job file. */
function sorted(rows, sort) {
  const sign = sort.startsWith("-") ? -1 : 1;
  const column = COLUMNS.find((each) => each.name === sort.replace(/^-/, "")) ?? COLUMNS[0];
  const keys = new Map(rows.map((row) => [row, column.key(row)]));
  return rows.sort((one, other) => {
    const [a, b] = [keys.get(one), keys.get(other)];
    return a === b ? one - other : a < b ? -sign : sign;
  });
}
