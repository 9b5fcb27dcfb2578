// The front end of every form: groups of choices, the note below each, and a line on all of them.
// The kernel sends `above`, `groups`, `notes`, `words` and `button`; back go `marked`, the marked options of each group.

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** One group. `ask(numbers)` says which options the user wants marked. */
function makeGroup({ legend, kind, options }, ask) {
  const name = crypto.randomUUID();
  const inputs = options.map(() => element("input", { type: kind, name }));
  const read = () => ask(inputs.flatMap((input, i) => (input.checked ? [i] : [])));
  const rows = inputs.map((input, i) => {
    input.onchange = read;
    return element("label", {}, input, element("span", { textContent: options[i] }));
  });
  const note = element("p", { className: "note" });
  note.setAttribute("role", "status");
  return {
    box: element("fieldset", {}, element("legend", { textContent: legend }), ...rows, note),
    show: (marked) => inputs.forEach((input, i) => (input.checked = marked.includes(i))),
    say: (text) => (note.textContent = text),
  };
}

function render({ model, el }) {
  const root = element("div", { className: "lecture17-form" });
  // Keys are for the choices here: JupyterLab would take the arrows for its commands on cells.
  root.addEventListener("keydown", (event) => event.stopPropagation());
  const mark = (marked) => {
    model.set("marked", marked);
    model.save_changes();
  };
  const groups = model.get("groups").map((group, i) =>
    makeGroup(group, (numbers) => mark(model.get("marked").map((old, j) => (j === i ? numbers : old))))
  );
  const words = element("p", { className: "words" });
  words.setAttribute("role", "status");
  const above = element("pre");
  const updates = {
    "change:above": () => (above.textContent = model.get("above")),
    "change:marked": () => groups.forEach((group, i) => group.show(model.get("marked")[i])),
    "change:notes": () => groups.forEach((group, i) => group.say(model.get("notes")[i])),
    "change:words": () => (words.textContent = model.get("words")),
  };
  for (const [event, show] of Object.entries(updates)) {
    show();
    model.on(event, show);
  }
  root.append(above, ...groups.map((group) => group.box), words);
  if (model.get("button")) {
    const empty = () => mark(model.get("marked").map(() => []));
    root.append(element("button", { type: "button", textContent: model.get("button"), onclick: empty }));
  }
  el.append(root);
  return () => {
    for (const [event, show] of Object.entries(updates)) model.off(event, show);
  };
}

export default { render };
