// The front end of every form: groups of choices or of one number, the note below each, and a line on all of them.
// The kernel sends `above`, `groups`, `notes`, `words`, `button` and `locked`; back go `marked`, for each group the
// numbers of the marked options or the number entered, and a message when the button is pressed.

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** The inputs of a choice; `ask(numbers)` says which options the user wants marked. */
function makeChoice(name, { kind, options }, ask) {
  const inputs = options.map(() => element("input", { type: kind, name }));
  const read = () => ask(inputs.flatMap((input, i) => (input.checked ? [i] : [])));
  const rows = inputs.map((input, i) => {
    input.onchange = read;
    return element("label", {}, input, element("span", { textContent: options[i] }));
  });
  return { rows, show: (marked) => inputs.forEach((input, i) => (input.checked = marked.includes(i))) };
}

/** A field for one number; `ask(numbers)` says which number the user has entered, if any. */
function makeNumber(name, { options: [unit] }, ask) {
  const input = element("input", { type: "number", step: "any", name });
  input.onchange = () => ask(input.value === "" ? [] : [input.valueAsNumber]);
  const label = element("label", {}, element("span", { textContent: "Your guess" }), input, unit);
  return { rows: [label], show: ([number = ""]) => (input.value = number) };
}

function makeGroup(name, group, ask) {
  const { rows, show } = (group.kind === "number" ? makeNumber : makeChoice)(name, group, ask);
  const note = element("p", { className: "note" });
  note.setAttribute("role", "status");
  const box = element("fieldset", {}, element("legend", { textContent: group.legend }), ...rows, note);
  return { box, show, say: (text) => (note.textContent = text) };
}

function render({ model, el }) {
  // Names of choices are their form's own: other forms on the page may use them too.
  const root = element("form", { className: "lecture17-form lecture17-live", onsubmit: (event) => event.preventDefault() });
  root.tabIndex = -1; // takes the focus of what can no longer be used, so that JupyterLab still gets its keys
  // Plain keys are for the choices: JupyterLab would take the arrows for its commands on cells. Ctrl+S goes on to it.
  root.addEventListener("keydown", (event) => {
    const { ctrlKey, metaKey, altKey, shiftKey, key } = event;
    if (!(ctrlKey || metaKey || altKey || (shiftKey && key === "Enter"))) event.stopPropagation();
  });
  const mark = (marked) => {
    model.set("marked", marked);
    model.save_changes();
  };
  const groups = model.get("groups").map((group, i) =>
    makeGroup(String(i), group, (numbers) => mark(model.get("marked").map((old, j) => (j === i ? numbers : old))))
  );
  const words = element("p", { className: "words" });
  words.setAttribute("role", "status");
  const above = element("pre");
  const button = element("button", { type: "button", onclick: () => model.send({ pressed: true }) });
  const updates = {
    "change:above": () => (above.textContent = model.get("above")),
    "change:marked": () => groups.forEach((group, i) => group.show(model.get("marked")[i])),
    "change:notes": () => groups.forEach((group, i) => group.say(model.get("notes")[i])),
    "change:words": () => (words.textContent = model.get("words")),
    "change:locked": () => groups.forEach((group) => (group.box.disabled = model.get("locked"))),
    "change:button": () => {
      button.textContent = model.get("button");
      button.hidden = !button.textContent;
    },
  };
  for (const [event, update] of Object.entries(updates)) {
    const show = (updates[event] = () => {
      const focused = document.activeElement;
      update();
      if (root.contains(focused) && focused.matches("[hidden], :disabled")) root.focus({ preventScroll: true });
    });
    show();
    model.on(event, show);
  }
  const body = element("div", {}, ...groups.map((group) => group.box), words, button);
  const asleep = "The kernel was restarted. Run this cell to answer.";
  const note = element("p", { className: "asleep", textContent: asleep, hidden: true });
  root.append(above, note, body);
  el.append(root);
  const sleep = () => {
    body.inert = true;
    note.hidden = false;
  };
  model.on("comm_live_update", sleep); // the kernel was restarted, or has ended
  return () => {
    model.off("comm_live_update", sleep);
    for (const [event, show] of Object.entries(updates)) model.off(event, show);
  };
}

export default { render };
