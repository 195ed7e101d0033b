// Makes one tree of elements like another and leaves alone what is alike already.

export function patch(old, fresh, keeps) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) return;
  attributes(old, fresh);
  if (!keeps(old)) children(old, fresh, keeps);
}

function attributes(old, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    // whether a list is open is the reader's business
    if (!fresh.hasAttribute(name) && !(old.nodeName === "DETAILS" && name === "open") && name !== "tabindex") {
      old.removeAttribute(name);
    }
  }
}

const alike = (one, other) =>
  one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");

function children(old, fresh, keeps) {
  const named = new Map();
  for (const child of old.children) if (child.id) named.set(child.id, child);
  let next = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const known = wanted.id ? named.get(wanted.id) : null;
    if (known && known.nodeName === wanted.nodeName) {
      if (known === next) next = next.nextSibling;
      else old.insertBefore(known, next);
      patch(known, wanted, keeps);
    } else if (next && !known && alike(next, wanted)) {
      const same = next;
      next = next.nextSibling;
      patch(same, wanted, keeps);
    } else {
      old.insertBefore(document.importNode(wanted, true), next);
    }
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    if (!keeps(gone)) gone.remove();
  }
}
