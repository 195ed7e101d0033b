// Keeps the live part of the page fresh, and sends forms without leaving it.  Without this file everything works by
// plain forms and a page that is loaded again.
"use strict";
(() => {
  const live = document.getElementById("live");
  const gone = document.getElementById("gone");
  const EVERY = 1000;
  let last = "";

  const refresh = async () => {
    let text;
    try {
      const answer = await fetch("/live", { signal: AbortSignal.timeout(5000), cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      text = await answer.text();
      if (gone.textContent) gone.textContent = "";
    } catch {
      if (!gone.textContent) gone.textContent = gone.dataset.words;
      return;
    }
    if (text === last) return;
    last = text;
    const focused = document.activeElement && live.contains(document.activeElement) ? document.activeElement.id : "";
    const wide = live.querySelector(".wide");
    const scrolled = wide ? wide.scrollLeft : 0;
    const parsed = new DOMParser().parseFromString(text, "text/html");
    live.replaceChildren(...parsed.body.childNodes);
    const again = live.querySelector(".wide");
    if (again) again.scrollLeft = scrolled;
    const target = focused && document.getElementById(focused);
    if (target) target.focus({ preventScroll: true });
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    event.preventDefault();
    try {
      const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      if (!answer.ok) { form.submit(); return; }
    } catch {
      gone.textContent = gone.dataset.words;
    }
    await refresh();
  });

  const tick = async () => {
    if (!document.hidden) await refresh();
    setTimeout(tick, EVERY);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  tick();
})();
