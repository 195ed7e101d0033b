// Asks before an order is given: the gateway's own form, shown in a dialog instead of on a page of its own.

export function dialogs(take, dress) {
  const dialog = document.getElementById("dialog");
  const told = document.getElementById("told");

  // Shows what came of an order; what is read aloud is the sentence alone, and not its button.
  function tell(page) {
    dress(page);
    const fresh = page.getElementById("told");
    document.getElementById("told-close")?.remove();
    document.getElementById("answer").replaceChildren(...document.importNode(fresh.querySelector("#answer"), true).childNodes);
    told.append(document.importNode(fresh.querySelector("#told-close"), true));
  }

  function forget() {
    const had_focus = told.contains(document.activeElement);
    document.getElementById("answer").replaceChildren();
    document.getElementById("told-close")?.remove();
    if (had_focus) document.getElementById("main").focus({ preventScroll: true });
  }

  told.addEventListener("click", (event) => {
    if (!event.target.closest("#told-close") || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    forget();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !dialog.open) forget();
  });

  // Shows what a page asks, or what it says instead.
  function show(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    const form = page.getElementById("order");
    if (!form) return false;
    dress(page);
    dialog.replaceChildren(document.importNode(form, true));
    return true;
  }

  async function send(form) {
    const button = form.querySelector("button");
    const label = button.textContent;
    button.disabled = true;
    if (button.dataset.working) button.textContent = button.dataset.working;
    try {
      const answer = await fetch(form.getAttribute("action"), { method: "POST", body: new URLSearchParams(new FormData(form)) });
      const text = await answer.text();
      if (answer.ok && take(text, answer)) {
        const page = new DOMParser().parseFromString(text, "text/html");
        if (page.querySelector("#answer p")) tell(page);
        dialog.close();
      } else if (show(text)) {
        if (!dialog.open) dialog.showModal();
      } else {
        location.assign("/");
      }
    } catch {
      button.disabled = false;
      button.textContent = label;
      location.assign(form.getAttribute("action"));
    }
  }

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-order], a[data-switch], dialog a[data-cancel]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    if (link.hasAttribute("data-cancel")) {
      dialog.close();
      return;
    }
    try {
      const page = await fetch(link.href);
      if (!show(await page.text())) throw new Error("no form");
    } catch {
      location.assign(link.href);
      return;
    }
    const form = dialog.querySelector("form");
    // what happens in a sandbox needs no second thought
    if (link.hasAttribute("data-switch") && form && page_is_well(form)) send(form);
    else {
      dialog.showModal();
      (dialog.querySelector("input:not([type=hidden])") || dialog.querySelector("button, a"))?.focus();
    }
  });

  const page_is_well = (form) => !form.querySelector("[role=alert]");

  dialog.addEventListener("submit", (event) => {
    event.preventDefault();
    send(event.target);
  });
  // a touch beside it closes it, as a way out that needs no aim
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => dialog.replaceChildren());
}
