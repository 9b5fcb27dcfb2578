// Predictions and the quiz where there is no kernel: guesses are kept in this browser, answers come after them.
(() => {
  const kept = (id) => JSON.parse(localStorage.getItem(`lecture17:${id}`) ?? "{}");
  const keep = (id, what) => localStorage.setItem(`lecture17:${id}`, JSON.stringify(what));

  const made = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  const isRight = (part, guess) => (part.options.length ? part.options[guess] === part.right : Math.abs(guess - part.right) <= part.tolerance);

  /** One thing to ask: options, or a number. `guess()` is null until there is one. */
  function fieldset(part, name, before, changed) {
    const note = made("p", { className: "note" });
    note.setAttribute("role", "status");
    const box = made("fieldset", {}, made("legend", { textContent: part.ask }));
    if (!part.options.length) {
      const input = made("input", { type: "number", step: "any", value: before ?? "", oninput: () => changed() });
      box.append(made("label", {}, input, ` ${part.unit}`), note);
      input.setAttribute("aria-label", part.ask);
      return { box, note, guess: () => (input.value === "" ? null : Number(input.value)) };
    }
    const inputs = part.options.map((_, i) => made("input", { type: "radio", name, checked: before === i, onchange: () => changed() }));
    box.append(...inputs.map((input, i) => made("label", {}, input, ` ${part.options[i]}`)), note);
    const guess = () => (inputs.some((input) => input.checked) ? inputs.findIndex((input) => input.checked) : null);
    return { box, note, guess };
  }

  /** A prediction: guesses may change until the answer is shown; then the output that shows it opens. */
  function prediction(host, { id, parts, truth }) {
    const before = kept(id);
    const fields = parts.map((part, k) => fieldset(part, `${id}-${k}`, before.guesses?.[k], () => save(false)));
    const words = made("p", { className: "note" });
    words.setAttribute("role", "status");
    const guesses = () => fields.map((field) => field.guess());
    const save = (revealed) => keep(id, { guesses: guesses(), revealed, right: parts.every((part, k) => isRight(part, guesses()[k])) });
    const answer = ({ revealed = false } = {}) => {
      if (guesses().includes(null)) return (words.textContent = "Guess first; a wrong guess teaches as much as a right one.");
      if (!revealed) save(true);
      fields.forEach((field, k) => {
        field.box.disabled = true;
        field.note.textContent = isRight(parts[k], guesses()[k]) ? "Right." : `Not quite. The answer: ${parts[k].answer}.`;
      });
      words.textContent = truth;
      button.remove();
      const following = host.closest(".cell").nextElementSibling?.querySelector("details.hide");
      if (following) following.open = true;
    };
    const button = made("button", { type: "button", textContent: "Show the answer", onclick: () => answer() });
    host.replaceChildren(...fields.map((field) => field.box), button, words);
    if (before.revealed) answer(before);
  }

  /** The quiz: each answer is explained as soon as it is given. */
  function quiz(host, { id, questions }) {
    const score = made("p", { className: "note" });
    score.setAttribute("role", "status");
    const explain = () => {
      const given = fields.map((field) => field.guess());
      keep(id, { guesses: given });
      fields.forEach(({ note }, k) => (note.textContent = given[k] === null ? "" : questions[k].verdicts[given[k]]));
      const right = given.filter((guess, k) => guess === questions[k].right).length;
      score.textContent = `${right} right of ${given.filter((guess) => guess !== null).length} answered; ${questions.length} questions in all.`;
    };
    const before = kept(id).guesses ?? [];
    const fields = questions.map((q, k) => fieldset({ ask: `${k + 1}. ${q.text}`, options: q.answers }, `${id}-${k}`, before[k], explain));
    const over = () => {
      localStorage.removeItem(`lecture17:${id}`);
      quiz(host, { id, questions });
    };
    host.replaceChildren(...fields.map((field) => field.box), score, made("button", { type: "button", textContent: "Start over", onclick: over }));
    if (before.some((guess) => guess !== null && guess !== undefined)) explain();
  }

  for (const host of document.querySelectorAll("[data-questions]")) {
    const asked = JSON.parse(host.dataset.questions);
    host.classList.add("questions");
    (asked.questions ? quiz : prediction)(host, asked);
  }
  for (const cell of document.querySelectorAll("[data-predictions]")) {
    const asked = JSON.parse(cell.dataset.predictions);
    const done = asked.map(kept).filter(({ revealed }) => revealed);
    const right = done.filter(({ right }) => right).length;
    cell.textContent = done.length ? `${right} right of ${done.length} guessed` : asked.length ? `${asked.length} to make` : "";
  }
})();
