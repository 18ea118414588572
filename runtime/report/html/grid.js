// A table of which only the visible rows are in the page, however many there are. Its rows have one height.

const ROW_HEIGHT = 28;
const OVERSCAN = 8; // rows above and below the visible ones

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...children); // text becomes text nodes, never markup
  return made;
}

class Grid {
  /**
   * @param root the element with the role grid
   * @param columns as in jobs.js
   * @param onSort called with the name of a column
   * @param onOpen called with a row
   */
  constructor(root, columns, onSort, onOpen) {
    this.root = root;
    this.columns = columns;
    this.onOpen = onOpen;
    this.rows = [];
    this.active = 0; // the position of the row that the keyboard is at
    this.pool = [];
    this.head = element("div", { role: "row", class: "row head", "aria-rowindex": 1 });
    for (const column of columns) {
      const button = element("button", { type: "button" }, column.title);
      button.addEventListener("click", () => onSort(column.name));
      this.head.append(element("div", { role: "columnheader", class: column.name }, button));
    }
    this.body = element("div", { role: "rowgroup", class: "body" });
    root.append(element("div", { role: "rowgroup", class: "headgroup" }, this.head), this.body);
    root.setAttribute("aria-colcount", columns.length);
    root.addEventListener("scroll", () => this.draw(), { passive: true });
    root.addEventListener("keydown", (event) => this.keydown(event));
    this.body.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.draw()).observe(root);
  }

  show(rows, sort) {
    this.rows = rows;
    this.active = 0;
    this.root.setAttribute("aria-rowcount", rows.length + 1);
    this.body.style.height = `${rows.length * ROW_HEIGHT}px`;
    this.columns.forEach((column, index) => {
      const direction = sort === column.name ? "ascending" : sort === `-${column.name}` ? "descending" : "none";
      this.head.children[index].setAttribute("aria-sort", direction);
    });
    this.root.scrollTop = 0;
    this.draw();
  }

  /** Put the visible rows into the page. */
  draw() {
    const visible = Math.ceil(this.root.clientHeight / ROW_HEIGHT);
    const top = Math.floor(this.root.scrollTop / ROW_HEIGHT);
    const first = Math.max(0, top - OVERSCAN);
    const last = Math.min(this.rows.length, top + visible + OVERSCAN);
    while (this.pool.length < last - first) this.pool.push(this.makeRow());
    while (this.pool.length > last - first) this.pool.pop().remove();
    this.pool.forEach((line, index) => this.fill(line, first + index));
    const isDrawn = this.active >= first && this.active < last;
    if (isDrawn) this.root.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.root.removeAttribute("aria-activedescendant");
  }

  makeRow() {
    const cells = this.columns.map((column) => element("div", { role: "gridcell", class: column.name }));
    const line = element("div", { role: "row", class: "row" }, ...cells);
    this.body.append(line);
    return line;
  }

  fill(line, position) {
    const row = this.rows[position];
    line.id = `row-${position}`;
    line.style.top = `${position * ROW_HEIGHT}px`;
    line.setAttribute("aria-rowindex", position + 2);
    line.setAttribute("aria-selected", position === this.active);
    this.columns.forEach((column, index) => {
      const cell = line.children[index];
      const text = column.text(row);
      if (cell.textContent !== text) cell.textContent = cell.title = text;
    });
    line.children[0].dataset.outcome = line.children[0].textContent;
  }

  move(position) {
    this.active = Math.max(0, Math.min(position, this.rows.length - 1));
    const top = this.active * ROW_HEIGHT;
    const room = this.root.clientHeight - 2 * ROW_HEIGHT; // the header covers one row
    if (top < this.root.scrollTop) this.root.scrollTop = top;
    else if (top > this.root.scrollTop + room) this.root.scrollTop = top - room;
    this.draw();
  }

  keydown(event) {
    if (event.target !== this.root || event.ctrlKey || event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.root.clientHeight / ROW_HEIGHT) - 2);
    const targets = {
      ArrowDown: this.active + 1,
      ArrowUp: this.active - 1,
      PageDown: this.active + page,
      PageUp: this.active - page,
      Home: 0,
      End: this.rows.length - 1,
    };
    if (event.key in targets) this.move(targets[event.key]);
    else if (event.key === "Enter" && this.rows.length) this.onOpen(this.rows[this.active]);
    else return;
    event.preventDefault();
  }

  click(event) {
    const line = event.target.closest(".row");
    if (line === null || String(window.getSelection())) return; // somebody selects text
    this.move(Number(line.getAttribute("aria-rowindex")) - 2);
    this.onOpen(this.rows[this.active]);
  }
}
