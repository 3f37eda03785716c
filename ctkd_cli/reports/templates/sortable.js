// A table whose columns are sorted by buttons in its head; the first line of a cell counts.
function sortable(table) {
  const body = table.tBodies[0], rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const text = row => (row.cells[column].firstChild?.textContent ?? "").trim();
    const compare = (a, b) => a - b || (Number.isNaN(a - b) ? a.localeCompare(b, undefined, { numeric: true }) : 0);
    rows.sort((a, b) => (down ? -1 : 1) * compare(text(a), text(b)));
    body.append(...rows);
  }));
  return rows;
}
