// Keeps the page current: words come from the gateway as HTML, figures from its event stream.
//
// Rule: there is one place where a state is put into words, and that is the gateway.  When anything but figures has
// changed, the page is asked for anew and only what differs is put into it, so that focus, open lists and what a
// screen reader reads stay where they are.

import { BY_ITSELF, Charts } from "./charts.js";
import { dialogs } from "./dialogs.js";
import { OF_WALLET, duration, ofBackend, smooth, sparkline } from "./figures.js";
import { patch } from "./patch.js";

const words = JSON.parse(document.body.dataset.words);
const lang = document.documentElement.lang;
const at = (id) => document.getElementById(id);

// -- times ------------------------------------------------------------------------------------------------------

const hour = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const exact = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(lang, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dayExact = new Intl.DateTimeFormat(lang, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const full = new Intl.DateTimeFormat(lang, { dateStyle: "full", timeStyle: "long" });
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

let ahead = 0; // seconds by which the gateway's clock is ahead of ours
const now = () => Date.now() / 1000 + ahead;

// Puts the times below an element into the reader's zone.
function dress(root) {
  const today = new Date().toDateString();
  for (const one of root.querySelectorAll("time[data-at]")) {
    const when = new Date(one.dataset.at * 1000);
    // what is done follows within seconds
    const [of_today, other] = one.closest(".done") ? [exact, dayExact] : [hour, day];
    one.textContent = (when.toDateString() === today ? of_today : other).format(when);
    one.title = full.format(when);
  }
  for (const one of root.querySelectorAll("[data-since]")) {
    one.textContent = duration(now() - one.dataset.since, words.units);
  }
  const told = root.querySelector("#zone");
  if (told) told.textContent = words.texts.zone.replace("{zone}", zone);
  const shop = root.querySelector("#shop");
  if (shop) shop.href = `${location.protocol}//${location.hostname}:${shop.dataset.port}/`;
}

// -- figures ----------------------------------------------------------------------------------------------------

const OF_BACKEND = ofBackend(words.units);

const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

function live(section, makers, one) {
  for (const element of section.querySelectorAll("[data-live]")) {
    const make = makers[element.dataset.live];
    if (make) put(element, make(one, element.textContent));
  }
}

function figures(snapshot) {
  for (const section of document.querySelectorAll("[data-wallet]")) {
    const wallet = snapshot.wallets[section.dataset.wallet];
    const facts = section.querySelector(".facts.wide");
    // words of a moment in which another gateway held it have no figures; new ones are on their way
    if (!facts || !wallet?.backends) continue;
    live(facts, OF_WALLET, wallet);
    bar(section.querySelector('[data-bar="addresses"]'), wallet.addresses && wallet.addresses.ahead / wallet.addresses.of);
    for (const card of section.querySelectorAll("[data-backend]")) {
      const backend = wallet.backends.find((one) => one.name === card.dataset.backend);
      if (!backend) continue;
      live(card, OF_BACKEND, backend);
      bar(card.querySelector('[data-bar="memory"]'), backend.memory?.share);
      sparks.set(card.id, backend.sparkline || []);
      card.querySelector("[data-spark]").setAttribute("d", sparkline(backend.sparkline));
    }
  }
}

const bar = (rect, part) => {
  if (rect && Number.isFinite(part)) rect.setAttribute("width", (Math.min(1, part) * 100).toFixed(1));
};

const sparks = new Map();

function seconds(samples) {
  for (const section of document.querySelectorAll("[data-wallet]")) {
    const wallet = samples.wallets?.[section.dataset.wallet];
    const facts = section.querySelector(".facts.wide");
    if (!facts || !wallet) continue;
    live(facts, { calls: OF_WALLET.calls, errors: OF_WALLET.errors }, { rates: smooth(section, wallet) });
    for (const card of section.querySelectorAll("[data-backend]")) {
      const line = sparks.get(card.id);
      if (!line) continue;
      line.push(wallet.backends?.[card.dataset.backend] ?? null);
      if (line.length > 60) line.shift();
      card.querySelector("[data-spark]").setAttribute("d", sparkline(line));
    }
  }
}

// -- words ------------------------------------------------------------------------------------------------------

// What changes without a word changing: figures, and times that only pass.
const FIGURES = new Set([
  "time", "for_seconds", "answered_ago", "next_try", "seconds_ago", "process_age", "took_ms", "latency_ms", "rates",
  "sparkline", "memory", "score", "in_flight", "slots_taken", "waiting", "height", "horizon", "addresses", "pool",
  "epoch", "since", "transactions", "forwarded", "peer_calls",
]);
const shape = (snapshot) => JSON.stringify(snapshot, (key, value) => (FIGURES.has(key) ? undefined : value));

let shown = null; // the shape that the words on the page say
let wanted = 0; // the moment that they must not be older than
let asking = false, asked = 0;

// Fetches the words, which are the same for everybody; returns whether they came.
async function words_of_now() {
  // a hundred pages learn of it in the same moment, and each page says how many there are
  await wait(Math.random() * Number(document.body.dataset.spread || 0) * 1000);
  for (let tries = 0; tries < 5; tries += 1) {
    asked = Date.now();
    let fresh, text;
    try {
      fresh = await fetch(`/words?since=${wanted}`, { headers: { Accept: "text/html", ...BY_ITSELF } });
      text = await fresh.text();
    } catch {
      return false;
    }
    if (!take(text, fresh)) return false;
    // something may have happened while it was on its way; the gateway makes all who ask for that wait together
    if (Number(document.body.dataset.time) >= wanted) return true;
    await wait(50);
  }
  return false;
}

async function renew() {
  if (asking) return;
  asking = true;
  try {
    const is_new = await words_of_now();
    // whatever the words are of, it is not what the stream has said: its next snapshot asks for them again
    if (!is_new) shown = null;
    if (asleep) is_new ? hear() : mark(new Date(heard));
  } finally {
    asking = false;
  }
}

const wait = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

// Takes a page as the gateway sent it; returns whether it was one.
export function take(text, response) {
  const page = new DOMParser().parseFromString(text, "text/html");
  if (page.body.id !== "status") {
    if (response.redirected && new URL(response.url).pathname === "/sign-in") location.assign("/sign-in?next=/");
    return false;
  }
  document.body.dataset.time = page.body.dataset.time;
  document.body.dataset.spread = page.body.dataset.spread;
  dress(page);
  patch(at("main"), page.getElementById("main"), keeps);
  title = page.title;
  document.title = title;
  const icon = page.getElementById("icon").getAttribute("href");
  if (at("icon").getAttribute("href") !== icon) at("icon").setAttribute("href", icon);
  charts.look();
  say();
  return true;
}

// An answer to an order stays until it is read; a chart is drawn by us.
const keeps = (node) => node.nodeType === Node.ELEMENT_NODE && (node.id === "told" || node.hasAttribute("data-keep"));

// Tells a screen reader the first sentence when it changed, and no more often than every few seconds.
let said = at("sentence").textContent, sayLater = 0;
function say() {
  clearTimeout(sayLater);
  sayLater = setTimeout(() => {
    const sentence = at("sentence").textContent;
    if (sentence !== said) at("say").textContent = said = sentence;
  }, 2000);
}

// -- the stream ---------------------------------------------------------------------------------------------------

const QUIET = 5000; // without a word for so long, the stream is lost: it says something every second
const EACH = 60000; // so often the words are asked for where nothing has happened
const DOZE = 10000; // so long a page goes on listening that nobody sees
let title = document.title;
let source = null, heard = Date.now(), pause = 1000, again = 0, lost = null;
let asleep = false, dozes = 0;

// A browser has six connections to a gateway for all of its tabs, and a stream takes one: a tab that nobody sees
// listens no more, and fetches its words each minute, so that its title is still true.
function sleep() {
  asleep = true;
  clearTimeout(again);
  source?.close();
}

function listen() {
  asleep = false;
  clearTimeout(again);
  source?.close();
  source = new EventSource("/api/v1/stream");
  source.addEventListener("status", (event) => {
    hear();
    const snapshot = JSON.parse(event.data);
    ahead = snapshot.time - Date.now() / 1000;
    figures(snapshot);
    const form = shape(snapshot);
    if (form !== shown) {
      shown = form;
      wanted = snapshot.time;
      renew();
    }
  });
  source.addEventListener("samples", (event) => {
    hear();
    const samples = JSON.parse(event.data);
    seconds(samples);
    charts.push(samples);
  });
  source.addEventListener("incident", () => {
    hear();
    wanted = Math.max(wanted, now());
    renew();
  });
  source.onopen = () => hear();
  source.onerror = () => {
    // refused, not only cut off: the browser does not try again by itself; who has to sign in is led there
    if (source.readyState === EventSource.CLOSED) {
      renew();
      later();
    }
  };
}

function later() {
  clearTimeout(again);
  again = setTimeout(listen, pause * (0.75 + Math.random() / 2));
  pause = Math.min(pause * 2, 15000);
}

function hear() {
  heard = Date.now();
  pause = 1000;
  if (lost !== null || at("live").hidden) mark(null);
}

// Shows whether what is on the page is of now.
function mark(since) {
  lost = since;
  const stale = at("stale"), badge = at("live");
  badge.hidden = false;
  badge.className = since === null ? "live" : "live lost";
  put(badge, words.texts[since === null ? "live" : "live.connecting"]);
  document.body.classList.toggle("is-stale", since !== null);
  document.title = since === null ? title : `? ${title}`;
  stale.hidden = since === null;
  put(stale, since === null ? "" : words.texts.stale.replace("{time}", exact.format(since)));
}

function tick() {
  for (const one of document.querySelectorAll("[data-since]")) {
    put(one, duration(now() - one.dataset.since, words.units));
  }
  if (Date.now() - heard > (asleep ? 3 * EACH : QUIET) && lost === null) mark(new Date(heard));
  // a stream that hangs looks open; a device that slept finds it so
  if (!asleep && Date.now() - heard > 3 * QUIET && source.readyState === EventSource.OPEN) listen();
  // lists of what is over grow old without a word of the snapshot changing
  if (Date.now() - asked > EACH && (asleep || (lost === null && !document.hidden))) renew();
}

function wake() {
  clearTimeout(dozes);
  if (document.hidden) {
    dozes = setTimeout(sleep, DOZE);
    return;
  }
  if (asleep || Date.now() - heard > QUIET) {
    if (Date.now() - heard > QUIET) mark(new Date(heard));
    pause = 1000;
    shown = null;
    listen();
  }
  tick();
}

const charts = new Charts(() => lang);
dialogs(take, dress);
dress(document);
// the answer to an order is told once, not again with each reload
if (location.search) history.replaceState(null, "", location.pathname);
document.addEventListener("visibilitychange", wake);
addEventListener("pageshow", (event) => event.persisted && wake());
addEventListener("online", wake);
addEventListener("pagehide", () => source?.close());
setInterval(tick, 1000);
charts.look();
if (document.hidden) sleep();
else listen();
