// All that the page knows of one job, in a dialog.

class Details {
  /**
   * @param dialog the element
   * @param onClose called when it is closed
   */
  constructor(dialog, onClose) {
    this.dialog = dialog;
    this.id = "";
    dialog.addEventListener("close", onClose);
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close(); // beside its content
    });
  }

  open(row) {
    this.id = idOf(row);
    const close = element("button", { type: "button", class: "close" }, "Close");
    close.addEventListener("click", () => this.dialog.close());
    const head = element("div", { class: "title" }, element("h2", { id: "details-title" }, this.id), close);
    const content = element("div", { class: "content" }, head, this.facts(row), ...this.texts(row));
    this.dialog.replaceChildren(content);
    if (!this.dialog.open) this.dialog.showModal();
  }

  facts(row) {
    const megabytes = number("peak", row) === NOT_KNOWN ? "" : `${(number("peak", row) / 1000).toFixed(1)} MB`;
    const facts = [
      ["Outcome", DATA.outcomes[outcomeOf(row)] + (isFlaky(row) ? ", flaky" : "")],
      ["Kind", DATA.texts.kind[number("kind", row)] ?? ""],
      ["Reason", reasonOf(row)],
      ["Group", DATA.groups[badValue("bucket", row)] ?? ""],
      ["Attempt", String(number("attempt", row) || "none")],
      ["Began after", duration(number("began", row))],
      ["Waited", duration(number("waited", row))],
      ["Ran", duration(number("ran", row))],
      ["CPU time", duration(number("cpu", row))],
      ["Memory", megabytes],
    ].filter(([, text]) => text !== "");
    const list = element("dl");
    for (const [name, text] of facts) list.append(element("dt", {}, name), element("dd", {}, text));
    return list;
  }

  texts(row) {
    const found = [];
    const log = logOf(row);
    if (log !== null) {
      const link = element("a", { href: log, target: "_blank", rel: "noopener noreferrer" }, textOf("log", row));
      found.push(element("p", {}, "Log: ", link));
    } else if (number("flags", row) & REMOVED) {
      found.push(element("p", {}, "Its output directory was removed, as it passed."));
    }
    if (isLeftOut("excerpt", row)) found.push(element("p", {}, "Its log excerpt is not in this file, which has a limit; see the log."));
    else if (badText("excerpt", row)) found.push(excerptOf(badText("excerpt", row)));
    const command = badText("command", row);
    if (command !== null) {
      const text = element("code", {}, command);
      found.push(element("h3", {}, "By hand"), element("pre", { class: "command", tabindex: 0, role: "region", "aria-label": "Command" }, text));
    }
    return found;
  }
}

function excerptOf(lines) {
  const text = element("pre", { class: "log", tabindex: 0, role: "region", "aria-label": "Log" });
  for (const [lineNumber, content, failing] of lines) {
    const line = element("span", { class: failing ? "failing" : null });
    if (lineNumber !== null) line.append(element("i", {}, String(lineNumber)));
    line.append(content);
    text.append(line, "\n");
  }
  return text;
}
