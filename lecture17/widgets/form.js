// The front end of every form: groups of choices, the note below each, and a line on all of them.
// The kernel sends `above`, `groups`, `notes`, `words` and `button`; back go `marked`, the marked options of each group.

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

let made = 0; // of names: crypto.randomUUID exists in secure contexts only

/** One group. `ask(numbers)` says which options the user wants marked. */
function makeGroup({ legend, kind, options }, ask) {
  const name = `lecture17-group-${(made += 1)}`;
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
  const root = element("div", { className: "lecture17-form lecture17-live" });
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
  const body = element("div", {}, ...groups.map((group) => group.box), words);
  if (model.get("button")) {
    const empty = () => mark(model.get("marked").map(() => []));
    body.append(element("button", { type: "button", textContent: model.get("button"), onclick: empty }));
  }
  const note = element("p", { className: "asleep", textContent: "The kernel was restarted. Run this cell to answer.", hidden: true });
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
