// Keeps the live part of a page up to date. Without it everything can be read and done all the same.
(() => {
  "use strict";
  const live = document.getElementById("live");
  if (!live || !window.EventSource) return;
  const connection = document.getElementById("connection");
  const announced = document.getElementById("announced");
  const shown = new Map([...live.children].filter((part) => part.id).map((part) => [part.id, part.outerHTML]));
  let seen = live.dataset.seen;
  let said = headline(live);
  const SILENT_MS = 40000; // signs of life come every 15 seconds; a connection can die without a word
  let lost = null;
  let source = null;
  let troubled = false;
  let heard = Date.now();

  function headline(within) {
    const part = within.querySelector("[data-said]");
    return part ? part.dataset.said : "";
  }

  function tell(text) {
    connection.textContent = text;
    connection.hidden = !text;
  }

  function lose() {
    lost = lost || new Date(heard).toISOString().slice(11, 19);
    tell(`The connection to the console is lost. What you see is from ${lost} UTC; it tries again by itself.`);
  }

  // A part in which somebody is writing stays as it is; what was opened stays open, and the focus where it was.
  function put(fresh) {
    const html = fresh.outerHTML;
    if (shown.get(fresh.id) === html) return;
    const held = document.getElementById(fresh.id);
    if (!held) return false;
    const focused = held.contains(document.activeElement) ? document.activeElement : null;
    if (focused && /^(INPUT|TEXTAREA|SELECT)$/.test(focused.tagName)) return;
    const open = new Map([...held.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    const links = focused ? [...held.querySelectorAll("a, button, summary")] : [];
    const at = links.indexOf(focused);
    held.replaceWith(fresh);
    shown.set(fresh.id, html);
    for (const one of fresh.querySelectorAll("details[id]")) {
      if (open.has(one.id)) one.open = open.get(one.id);
    }
    if (focused) {
      const now = [...fresh.querySelectorAll("a, button, summary")];
      const same = now.find((one) => one.textContent === focused.textContent && one.tagName === focused.tagName);
      const next = same || now[at];
      if (next) next.focus({ preventScroll: true });
    }
    return true;
  }

  function update(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const parts = [...holder.content.children].filter((part) => part.id);
    const ids = new Set(parts.map((part) => part.id));
    let before = null;
    for (const part of parts) {
      if (!document.getElementById(part.id)) {
        shown.set(part.id, part.outerHTML);
        before ? before.after(part) : live.prepend(part);
      } else {
        put(part);
      }
      before = document.getElementById(part.id);
    }
    for (const part of [...live.children]) {
      if (part.id && !ids.has(part.id)) {
        shown.delete(part.id);
        part.remove();
      }
    }
    const now = headline(live);
    if (now && now !== said) announced.textContent = said = now;
  }

  function alive() {
    heard = Date.now();
    lost = null;
    if (!troubled) tell("");
  }

  function listen() {
    if (source) source.close();
    source = new EventSource(`${live.dataset.live}${live.dataset.live.includes("?") ? "&" : "?"}seen=${seen}`);
    source.addEventListener("open", () => {
      troubled = false;
      alive();
    });
    source.addEventListener("alive", alive);
    source.addEventListener("part", (event) => {
      troubled = false;
      alive();
      seen = event.lastEventId;
      update(event.data);
    });
    source.addEventListener("trouble", (event) => {
      heard = Date.now();
      troubled = true;
      tell(`The console can't read how things stand: ${event.data} What you see is from before.`);
    });
    source.addEventListener("error", (event) => {
      lose();
      if (event.target.readyState === EventSource.CLOSED) setTimeout(() => event.target === source && listen(), 5000);
    });
  }

  // A network that went away, or a computer that slept, tells nobody: whoever is silent for too long is asked anew.
  setInterval(() => {
    if (Date.now() - heard < SILENT_MS) return;
    lose();
    heard = Date.now();
    listen();
  }, 5000);

  // A page that comes back from the browser's memory, or a tab that slept, looks at once.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  window.addEventListener("pagehide", () => source && source.close());
  listen();
})();
