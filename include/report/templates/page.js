"use strict";
const framed = parent !== window;

// Airflow marks its colour mode on its own document; the browser's preference serves everywhere else.
function followAirflow() {
  const airflow = parent.document.documentElement;
  const copy = () => {
    document.documentElement.style.colorScheme = airflow.classList.contains("dark") ? "dark" : "light";
  };
  copy();
  new MutationObserver(copy).observe(airflow, { attributes: true, attributeFilter: ["class"] });
}
if (framed) try { followAirflow(); } catch { /* framed by a stranger's page */ }

// Links to Airflow's own pages leave the frame. Its sandbox lets only Airflow's document navigate the window.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-airflow]");
  if (!link || !framed || event.ctrlKey || event.metaKey || event.button) return;
  event.preventDefault();
  const outside = parent.document.createElement("a");
  outside.href = link.href;
  outside.click();
});

const valueOf = (row, column) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();

function sort(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
  const numeric = table.tHead.rows[0].cells[column].classList.contains("n");
  const compare = numeric ? (a, b) => a - b : (a, b) => a.localeCompare(b, undefined, { numeric: true });
  rows.sort(([a], [b]) => (descending ? compare(b, a) : compare(a, b)));
  body.append(...rows.map(([, row]) => row));
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  table.tHead.rows[0].cells[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
}

function search(table, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !wanted.every((word) => text.includes(word));
  }
}

// What a person has chosen outlives the next look at a running import.
const chosen = { column: null, descending: false, words: "" };

document.addEventListener("click", (event) => {
  const head = event.target.closest("th button")?.closest("th");
  if (!head) return;
  const first = head.classList.contains("n") ? "descending" : "ascending";
  const now = head.getAttribute("aria-sort");
  chosen.descending = now ? now === "ascending" : first === "descending";
  chosen.column = head.cellIndex;
  sort(head.closest("table"), chosen.column, chosen.descending);
});
document.addEventListener("input", (event) => {
  if (!event.target.matches("input[type=search]")) return;
  chosen.words = event.target.value;
  search(document.getElementById("conversations"), chosen.words);
});

async function look(place) {
  if (document.hidden) return;
  const answer = await fetch(place.dataset.progress).catch(() => null);
  if (!answer?.ok) return; // Airflow is busy or restarting: the next look tells
  if (answer.headers.get("X-Import-Ended")) return location.reload();
  const focused = document.activeElement?.matches("input[type=search]");
  place.innerHTML = await answer.text();
  const table = document.getElementById("conversations");
  if (!table) return;
  const box = document.querySelector("input[type=search]");
  box.value = chosen.words;
  if (focused) box.focus();
  if (chosen.column !== null) sort(table, chosen.column, chosen.descending);
  search(table, chosen.words);
}
const place = document.querySelector("[data-progress]");
if (place) setInterval(look, 3000, place);
