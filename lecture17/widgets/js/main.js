// One bundle for every place where the course is read: a widget of a running kernel, or a page without one.
import { Frame } from "./frame.js";
import { element } from "./element.js";
import * as chooser from "./chooser.js";
import * as chunks from "./chunks.js";
import * as memory from "./memory.js";
import * as scan from "./scan.js";
import * as semiseparable from "./semiseparable.js";
import * as slider from "./slider.js";
import * as twoViews from "./two_views.js";
import style from "./style.css";

const EXPLORERS = {
  ArchitectureChooser: chooser,
  ChunkExplorer: chunks,
  MemoryExplorer: memory,
  ScanExplorer: scan,
  SemiseparableExplorer: semiseparable,
  Slider: slider,
  TwoViews: twoViews,
};

function styled() {
  if (!document.getElementById("lecture17-style")) {
    document.head.append(element("style", { id: "lecture17-style", textContent: style }));
  }
}

/** A widget: anywidget calls this with the model, whose traits are the settings. */
function render({ model, el }) {
  styled();
  const spec = model.get("spec");
  const state = Object.fromEntries(spec.controls.map(({ name }) => [name, model.get(name)]));
  const link = {
    change(patch) {
      for (const [name, value] of Object.entries(patch)) model.set(name, value);
      model.save_changes();
    },
    rest: () => alive && model.send({ rest: true }),
    press: () => alive && model.send({ press: true }),
  };
  let alive = true; // whether a kernel listens; without one all goes on but what it alone can do
  const frame = new Frame(el, EXPLORERS[spec.name], { ...spec, state, data: { ...spec.data, ...model.get("data") } }, link);
  const names = spec.controls.map(({ name }) => name);
  const handlers = Object.fromEntries(
    names.map((name) => [`change:${name}`, () => frame.state[name] !== model.get(name) && frame.update({ state: { [name]: model.get(name) } })]),
  );
  handlers["change:data"] = () => frame.update({ data: model.get("data") });
  if (spec.button) {
    handlers["change:busy"] = handlers["change:failure"] = () => frame.work(model.get("busy"), model.get("failure"));
    handlers["change:busy"]();
  }
  handlers.comm_live_update = () => {
    alive = false;
    frame.alone();
    frame.note.textContent = "The kernel was restarted: the explorer goes on without it. Run this cell to join them again.";
  };
  for (const [event, handler] of Object.entries(handlers)) model.on(event, handler);
  return () => {
    for (const [event, handler] of Object.entries(handlers)) model.off(event, handler);
    frame.destroy();
  };
}

const GIVE_WAY = 400; // milliseconds in which the widget of a running kernel may take the place of its still

/** Bring to life what lies in the page as a picture, once it comes into view. */
function wake() {
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) setTimeout(() => liven(target, seen), GIVE_WAY);
    }
  });
  for (const host of document.querySelectorAll("[data-explorer]:not([data-awake])")) {
    host.dataset.awake = "";
    seen.observe(host);
  }
}

function liven(host, seen) {
  if (!host.getClientRects().length) return; // hidden meanwhile
  seen.unobserve(host);
  if (!document.createElement("canvas").getContext("2d")) return; // the picture stays
  styled();
  const spec = JSON.parse(host.dataset.explorer);
  const link = {};
  if (host.dataset.address !== undefined) keepInAddress(spec, link);
  new Frame(host, EXPLORERS[spec.name], spec, link);
}

/** The settings stand in the page's address, to be shared: only those that differ from the start. */
function keepInAddress(spec, link) {
  const asked = new URLSearchParams(location.hash.slice(1));
  const start = { ...spec.state };
  for (const { name } of spec.controls) {
    if (!asked.has(name)) continue;
    const value = asked.get(name);
    spec.state[name] = { number: Number(value), boolean: value === "true" }[typeof start[name]] ?? value;
  }
  const state = { ...spec.state };
  link.change = (patch) => {
    Object.assign(state, patch);
    const changed = Object.entries(state).filter(([name, value]) => value !== start[name]);
    history.replaceState(null, "", `#${new URLSearchParams(changed)}`);
  };
}

globalThis.lecture17 ??= { EXPLORERS, render, wake };
