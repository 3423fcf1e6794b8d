(() => {
  const cases = [...document.querySelectorAll(".case")];
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  let filter = "all";
  let at = -1;

  const fits = (row) =>
    (filter === "all" || row.dataset.flags.split(" ").includes(filter)) &&
    (!search.value || row.textContent.toLowerCase().includes(search.value.toLowerCase()));

  function refresh() {
    let count = 0;
    for (const row of cases) {
      row.hidden = !fits(row);
      count += row.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${cases.length} shown`;
  }

  function go(step) {
    const visible = cases.filter((row) => !row.hidden);
    if (!visible.length) return;
    const place = visible.indexOf(cases[at]);
    const next = visible[place < 0 ? 0 : Math.min(visible.length - 1, Math.max(0, place + step))];
    if (cases[at] && cases[at] !== next) cases[at].open = false;
    at = cases.indexOf(next);
    next.open = true;
    next.querySelector("summary").focus();
    next.scrollIntoView({ block: "nearest" });
  }

  function mark(row, vote) {
    row.dataset.vote = vote;
    row.dataset.flags = row.dataset.flags.replace(/ (un)?labelled/, "") + (vote ? " labelled" : " unlabelled");
    for (const button of row.querySelectorAll("[data-label]")) {
      button.setAttribute("aria-pressed", String(button.dataset.label === vote));
    }
  }

  async function label(row, vote) {
    const form = row && row.querySelector("form.labels");
    if (!form) return;
    const before = row.dataset.vote;
    const wanted = before === vote ? "" : vote;
    const said = row.querySelector(".said");
    const fields = new URLSearchParams(new FormData(form));
    fields.set("vote", wanted);
    mark(row, wanted);
    try {
      const answer = await fetch(form.action, { method: "POST", body: fields, redirect: "manual" });
      if (answer.type !== "opaqueredirect" && !answer.ok) throw new Error(await answer.text());
      said.textContent = wanted ? "saved" : "taken back";
    } catch (error) {
      mark(row, before);
      said.textContent = `not saved: ${error.message}`;
    }
  }

  for (const button of document.querySelectorAll("[data-filter]")) {
    button.addEventListener("click", () => {
      filter = button.dataset.filter;
      for (const other of document.querySelectorAll("[data-filter]")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      refresh();
    });
  }
  search.addEventListener("input", refresh);
  for (const row of cases) {
    row.querySelector("summary").addEventListener("click", () => { at = cases.indexOf(row); });
    const form = row.querySelector("form.labels");
    if (form) {
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        at = cases.indexOf(row);
        label(row, event.submitter.dataset.label);
      });
    }
  }
  const keys = {
    j: () => go(1), ArrowDown: () => go(1), k: () => go(-1), ArrowUp: () => go(-1),
    s: () => label(cases[at], "stable"), c: () => label(cases[at], "candidate"), t: () => label(cases[at], "tie"),
    "/": () => search.focus(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.target === search) {
      if (event.key === "Escape") search.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.documentElement.classList.add("scripted");
  refresh();
})();
