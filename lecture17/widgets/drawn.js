// The front end of every explorer: controls, a picture, a line in words. What they show comes from the kernel.
// The kernel sends `controls` (name, label, kind, and the text of each value), `picture` (PNG), `size`, `words`.
// Back go `positions`, the number of each control's value, clicks on the picture, presses of the button, and `rest`
// when nothing has moved for a while.

const PLAY_PAUSE = 120; // milliseconds between two steps, on top of the time a step takes
const REST = 600; // milliseconds without a new picture after which the kernel may store the last one

let made = 0; // of ids: crypto.randomUUID exists in secure contexts only, and a lab machine may be reached by plain http

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** One labeled control. `show(control, position)` brings it up to date; `ask(position)` says what the user wants. */
function makeControl(control, ask) {
  const id = `lecture17-control-${(made += 1)}`;
  const label = element("label", { htmlFor: id, textContent: control.label });
  const box = element("div", { className: `control ${control.kind}` }, label);
  if (control.kind === "choice") {
    const select = element("select", { id, onchange: () => ask(select.selectedIndex) });
    box.append(select);
    return {
      box,
      show({ texts }, position) {
        if ([...select.options].map((option) => option.text).join() !== texts.join()) {
          select.replaceChildren(...texts.map((text) => element("option", { text })));
        }
        select.selectedIndex = position;
      },
    };
  }
  if (control.kind === "check") {
    const check = element("input", { id, type: "checkbox", onchange: () => ask(Number(check.checked)) });
    box.prepend(check);
    return { box, show: (_, position) => (check.checked = position === 1) };
  }
  const readout = element("output");
  const slider = element("input", { id, type: "range", min: 0, step: 1 });
  const write = (texts) => {
    readout.textContent = texts[slider.value];
    slider.setAttribute("aria-valuetext", texts[slider.value]);
  };
  let texts = [];
  slider.oninput = () => {
    write(texts);
    ask(Number(slider.value));
  };
  box.append(slider, readout);
  const part = {
    box,
    show(shown, position) {
      texts = shown.texts;
      slider.max = texts.length - 1;
      slider.disabled = texts.length === 1;
      slider.value = position;
      write(texts);
    },
  };
  if (control.kind === "play") addPlayButton(part, slider, ask);
  return part;
}

/** A button that moves the slider step by step to its end. The next step waits until the last one is shown. */
function addPlayButton(part, slider, ask) {
  let timer = 0;
  const button = element("button", { type: "button", textContent: "Play" });
  const stop = () => {
    clearTimeout(timer);
    timer = 0;
    button.textContent = "Play";
  };
  const step = () => {
    if (Number(slider.value) === Number(slider.max)) return stop();
    ask(Number(slider.value) + 1);
  };
  button.onclick = () => {
    if (timer) return stop();
    button.textContent = "Pause";
    timer = -1;
    if (Number(slider.value) === Number(slider.max)) ask(0);
    else step();
  };
  part.box.append(button);
  part.shown = () => {
    if (timer) timer = setTimeout(step, PLAY_PAUSE);
  };
  part.stop = stop;
}

function render({ model, el }) {
  const root = element("div", { className: "lecture17-drawn lecture17-live" });
  // Keys are for the controls here: JupyterLab would take the arrows, and worse, for its commands on cells.
  root.addEventListener("keydown", (event) => event.stopPropagation());
  const parts = model.get("controls").map((control) => {
    const ask = (position) => {
      root.classList.add("computing");
      model.set("positions", { ...model.get("positions"), [control.name]: position });
      model.save_changes();
    };
    return [control.name, makeControl(control, ask)];
  });
  const [width, height] = model.get("size");
  const image = element("img", { width, height });
  const words = element("p", { className: "words" });
  words.setAttribute("role", "status");
  const showControls = () => {
    const controls = Object.fromEntries(model.get("controls").map((control) => [control.name, control]));
    for (const [name, part] of parts) {
      part.show(controls[name], Math.min(model.get("positions")[name], controls[name].texts.length - 1));
    }
  };
  const showPicture = () => {
    const before = image.src;
    image.src = URL.createObjectURL(new Blob([model.get("picture")], { type: "image/png" }));
    if (before) URL.revokeObjectURL(before);
  };
  let resting = 0;
  const showWords = () => {
    image.alt = words.textContent = model.get("words");
  };
  const showDrawn = () => {
    root.classList.remove("computing");
    for (const [, part] of parts) part.shown?.();
    clearTimeout(resting);
    resting = setTimeout(() => root.isConnected && !controls.inert && model.send({ rest: true }), REST);
  };
  if (model.get("hint")) {
    image.title = model.get("hint");
    image.classList.add("clickable");
    image.onclick = (event) => {
      if (controls.inert) return;
      const box = image.getBoundingClientRect();
      root.classList.add("computing");
      model.send({ click: [(event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height] });
    };
  }
  const press = element("button", { type: "button", onclick: () => model.send({ press: true }) });
  const showButton = () => {
    press.textContent = model.get("busy") ? "Please wait …" : model.get("button");
    press.disabled = model.get("busy");
  };
  const sleep = () => {
    root.classList.remove("computing");
    controls.inert = true;
    note.hidden = false;
  };
  const updates = {
    "change:busy": showButton,
    "change:controls": showControls,
    "change:positions": showControls,
    "change:picture": showPicture,
    "change:words": showWords,
  };
  const events = {
    "msg:custom": showDrawn, // whatever was asked for is drawn
    comm_live_update: sleep, // the kernel was restarted, or has ended
  };
  for (const [event, show] of Object.entries(updates)) {
    show();
    model.on(event, show);
  }
  for (const [event, answer] of Object.entries(events)) model.on(event, answer);
  root.style.maxWidth = `${width}px`;
  const controls = element("div", { className: "controls" }, ...parts.map(([, part]) => part.box));
  if (model.get("button")) controls.append(press);
  const note = element("p", { className: "asleep", textContent: `The kernel was restarted. ${model.get("asleep")}`, hidden: true });
  root.append(controls, note, image, words);
  el.append(root);
  return () => {
    clearTimeout(resting);
    for (const [event, show] of Object.entries({ ...updates, ...events })) model.off(event, show);
    for (const [, part] of parts) part.stop?.();
    URL.revokeObjectURL(image.src);
  };
}

export default { render };
