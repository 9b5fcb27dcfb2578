// Labeled controls: menus, checks, ranges whose number can be typed too, and ranges that play.
import { clamp } from "./arrays.js";
import { element } from "./element.js";

let made = 0; // of ids: crypto.randomUUID exists in secure contexts only, and a lab machine may be reached by plain http

const SPEEDS = { slow: 2, normal: 8, fast: 30 }; // steps a second

/** `{ box, name, show(value, limits) }`; `ask(value)` says what a hand wants. Limits are { low, high }. */
export function makeControl(control, ask, root) {
  const id = `lecture17-control-${(made += 1)}`;
  const label = element("label", { htmlFor: id, textContent: control.label });
  const box = element("div", { className: `control ${control.kind}` }, label);
  const kinds = { choice: choice, check: check, range: range, play: range };
  return { name: control.name, more: control.more, box, ...kinds[control.kind](control, ask, id, box, root) };
}

function choice({ options }, ask, id, box) {
  const select = element("select", { id, onchange: () => ask(options[select.selectedIndex]) });
  select.append(...options.map((text) => element("option", { text: String(text) })));
  box.append(select);
  return {
    show: (value) => (select.selectedIndex = options.indexOf(value)),
  };
}

function check(control, ask, id, box) {
  const input = element("input", { id, type: "checkbox", onchange: () => ask(input.checked) });
  box.prepend(input);
  return { show: (value) => (input.checked = value) };
}

/** A number rounded to two digits more than the first of its step, so that 0.1 + 0.2 reads 0.3 and 0.575 stays. */
const tidy = (value, step) => Number(value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(step)))));

function range({ low, high, step, kind, label, doubles }, ask, id, box, root) {
  // Where the slider stands for a number, and the number it stands for.
  const [place, number] = doubles ? [(value) => Math.ceil(Math.log2(value)), (at) => 2 ** at] : [(value) => value, (at) => tidy(at, step)];
  const bounds = { low, high };
  const slider = element("input", { id, type: "range", step: doubles ? 1 : step });
  const field = element("input", { type: "number", step: "any", className: "field" });
  if (high >= 1e6) field.style.width = "6.4em"; // as many digits
  field.setAttribute("aria-label", `${label}, typed`);
  const complaint = element("span", { className: "complaint", role: "alert" });
  slider.oninput = () => ask(clamp(number(Number(slider.value)), bounds.low, bounds.high));
  field.onchange = () => {
    const typed = Number(field.value);
    const whole = Number.isInteger(step);
    const wrong = field.value === "" || !(typed >= bounds.low && typed <= bounds.high) || (whole && !Number.isInteger(typed));
    field.setAttribute("aria-invalid", String(wrong));
    complaint.textContent = wrong ? `${whole ? "a whole number " : ""}from ${bounds.low} to ${bounds.high}, please` : "";
    if (!wrong) ask(typed);
  };
  box.append(slider, field);
  const part = {
    show(value, limits) {
      Object.assign(bounds, { low: limits.low ?? low, high: limits.high ?? high });
      slider.min = place(bounds.low);
      slider.max = place(bounds.high);
      slider.disabled = field.disabled = bounds.low === bounds.high;
      slider.value = place(value);
      slider.setAttribute("aria-valuetext", value);
      if (document.activeElement !== field || field.getAttribute("aria-invalid") !== "true") {
        field.value = value;
        complaint.textContent = "";
        field.removeAttribute("aria-invalid");
      }
    },
  };
  if (kind === "play") part.stop = addPlayer(box, slider, root);
  box.append(complaint);
  return part;
}

const LITTLE = 0.2; // of the range: where no more is left, playing begins at its start

/** Buttons that move the slider step by step to its end, at a chosen speed. Returns what stops it. */
function addPlayer(box, slider, root) {
  let timer = 0;
  let paused = ""; // where the slider stood when it was paused: from there it goes on
  const speed = element("select", {}, ...Object.keys(SPEEDS).map((text) => element("option", { text })));
  speed.value = "normal";
  speed.setAttribute("aria-label", "speed");
  const button = element("button", { type: "button", textContent: "Play" });
  const stop = () => {
    clearTimeout(timer);
    timer = 0;
    paused = "";
    button.textContent = "Play";
  };
  const advance = () => {
    const before = slider.value;
    slider.stepUp();
    if (slider.value !== before) slider.oninput();
    return slider.value !== before;
  };
  const step = () => {
    if (!root.isConnected || !advance()) return stop();
    timer = setTimeout(step, 1000 / SPEEDS[speed.value]);
  };
  button.onclick = () => {
    if (timer) {
      stop();
      paused = slider.value;
      return;
    }
    button.textContent = "Pause";
    const [low, value, high] = [slider.min, slider.value, slider.max].map(Number);
    const again = high - value < LITTLE * (high - low) && slider.value !== paused;
    if (again || !advance()) {
      slider.value = slider.min;
      slider.oninput();
    }
    timer = setTimeout(step, 1000 / SPEEDS[speed.value]);
  };
  box.append(button, speed);
  return stop;
}
