// The front end of every explorer: controls, panels, the picture in words, and what joins them.
//
// An explorer is { panels(stage, act) → draw(params, result, paper), compute(params, data), describe(params, result),
// headline(params, result), settle(params, data), limits(params, data), code(params) }; this file knows nothing of the
// subject. `settle` makes settings fit each other, as its twin in Python does. `act.set(patch)` changes settings, and
// `act.params()` gives them as they are now, perhaps not drawn yet.
import { makeControl } from "./controls.js";
import { element } from "./element.js";

const REST = 600; // milliseconds without a move after which screen readers hear, and the kernel may store, the picture

/** Whether the page is dark: whether its text is light. */
function paperOf(root) {
  const [r, g, b] = getComputedStyle(root).color.match(/[\d.]+/g).map(Number);
  return 0.3 * r + 0.59 * g + 0.11 * b > 140 ? "dark" : "light";
}

/** Plain keys are for the controls: JupyterLab would take arrows and letters for commands on cells. Not Ctrl+S. */
function keepPlainKeys(event) {
  const { ctrlKey, metaKey, altKey, shiftKey, key } = event;
  if (!(ctrlKey || metaKey || altKey || (shiftKey && key === "Enter"))) event.stopPropagation();
}

export class Frame {
  /** `spec` is { name, controls, state, data, button }; `link` is { change(state), rest(), press() }. */
  constructor(host, explorer, spec, link = {}) {
    Object.assign(this, { explorer, spec, link, data: spec.data ?? {} });
    this.start = { ...spec.state };
    this.state = { ...spec.state };
    this.root = element("div", { className: "lecture17-explorer lecture17-live" });
    this.root.addEventListener("keydown", keepPlainKeys);
    this.controls = spec.controls.map((control) => makeControl(control, (value) => this.set({ [control.name]: value }), this.root));
    this.headline = element("p", { className: "headline" });
    this.stage = element("div", { className: "panels" });
    this.stage.setAttribute("role", "group");
    this.words = element("p", { className: "words" });
    this.spoken = element("p", { className: "spoken", role: "status" });
    this.tools = element("div", { className: "tools" });
    this._tool("Reset", () => {
      this._stop();
      this.set(this.start);
    });
    if (explorer.code) this._tool("Copy as code", () => this._copy());
    if (spec.button) this.press = this._tool(spec.button, () => link.press());
    this.note = element("span", { className: "note", role: "status" });
    this.tools.append(this.note);
    if (!link.press) this.alone();
    const boxes = (folded) => this.controls.filter(({ more }) => Boolean(more) === folded).map(({ box }) => box);
    this.root.append(element("div", { className: "controls" }, ...boxes(false)));
    const more = element("div", { className: "controls" }, ...boxes(true));
    if (more.childElementCount) this.root.append(element("details", {}, element("summary", { textContent: "More settings" }), more));
    this.root.append(this.headline, this.stage, this.words, this.spoken, this.tools);
    host.replaceChildren(this.root);
    this.draw = explorer.panels(this.stage, { set: (patch) => this.set(patch), params: () => this.params }, this.data);
    this.themes = new MutationObserver(() => this.schedule());
    for (const node of [document.documentElement, document.body]) this.themes.observe(node, { attributes: true });
    this.media = matchMedia("(prefers-color-scheme: dark)");
    this.onmedia = () => this.schedule();
    this.media.addEventListener("change", this.onmedia);
    this.shown = new ResizeObserver(() => this.schedule()); // calls as soon as the page has a place for it
    this.shown.observe(this.stage);
  }

  get params() {
    return this.explorer.settle(this.state, this.data);
  }

  /** Settings that a hand has changed. */
  set(patch) {
    this.state = { ...this.state, ...patch };
    this.link.change?.(patch);
    this.schedule();
  }

  /** Settings, or data, that came from elsewhere. */
  update({ state = {}, data = {} }) {
    this.state = { ...this.state, ...state };
    Object.assign(this.data, data);
    this.schedule();
  }

  /** Whether the kernel is at work for the button, and if it failed, why. */
  work(busy, failure) {
    this.press.disabled = busy;
    this.note.textContent = busy ? "Please wait …" : failure;
  }

  /** There is no kernel: what the button would do is only named. */
  alone() {
    const text = `While a kernel runs this notebook, there is a button here: “${this.spec.button}”.`;
    this.press?.replaceWith(element("span", { className: "missing", textContent: text }));
  }

  /** Show at once, so that what a hand does is seen in the same frame; what comes later in the frame is shown in the next. */
  schedule() {
    if (!this.root.isConnected) return;
    this.late = this.waiting !== undefined;
    if (this.late) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = undefined;
      if (this.late) this.schedule();
    });
    this.show();
  }

  show() {
    const params = this.params;
    const result = this.explorer.compute(params, this.data);
    const limits = this.explorer.limits?.(params, this.data) ?? {};
    for (const { name, box, show } of this.controls) {
      box.hidden = Boolean(limits[name]?.off); // a setting without meaning here
      show(params[name], limits[name] ?? {});
    }
    this.headline.textContent = this.explorer.headline(params, result, this.data);
    this.draw(params, result, paperOf(this.root));
    this.words.textContent = this.explorer.describe(params, result, this.data);
    this.stage.setAttribute("aria-label", this.words.textContent);
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this._rest(), REST);
  }

  _rest() {
    this.spoken.textContent = this.words.textContent;
    if (this.root.isConnected) this.link.rest?.();
  }

  _tool(text, onclick) {
    const button = element("button", { type: "button", textContent: text, onclick });
    this.tools.append(button);
    return button;
  }

  async _copy() {
    const code = this.explorer.code(this.params, this.data);
    try {
      await navigator.clipboard.writeText(code); // in secure contexts only, and a lab machine may be reached by plain http
      this.note.textContent = "Copied: paste it into a new cell.";
    } catch {
      this.note.textContent = "Copy this:";
    }
    this.listing ??= this.root.appendChild(element("pre", { className: "listing", tabIndex: 0 }));
    this.listing.textContent = code;
  }

  destroy() {
    clearTimeout(this.resting);
    cancelAnimationFrame(this.waiting);
    this.themes.disconnect();
    this.shown.disconnect();
    this.media.removeEventListener("change", this.onmedia);
    this._stop();
  }

  /** Nothing plays any more. */
  _stop() {
    for (const control of this.controls) control.stop?.();
  }
}
