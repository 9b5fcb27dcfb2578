// Search that finds sections, also in pages read from disk: sections.js holds the words of each, conf.py has written it.
(() => {
  const MOST = 30; // sections that are shown
  const AROUND = 90; // characters before and after what was found
  const query = (new URLSearchParams(location.search).get("q") ?? "").trim();
  const told = document.getElementById("found");
  const list = document.querySelector("ol.found");
  for (const field of document.querySelectorAll("input[name=q]")) field.value = query;

  const made = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  /** The words around the first term that the text has, with that term marked. */
  function excerpt(text, terms) {
    const places = terms.map((term) => [text.toLowerCase().indexOf(term), term.length]).filter(([at]) => at >= 0);
    if (!places.length) return [text.slice(0, 2 * AROUND)];
    const [at, length] = places.reduce((first, place) => (place[0] < first[0] ? place : first));
    const [start, end] = [Math.max(0, at - AROUND), at + length + AROUND];
    const marked = made("mark", { textContent: text.slice(at, at + length) });
    const before = start ? text.slice(start, at).replace(/^\S*/, "…") : text.slice(0, at); // whole words only
    const after = end < text.length ? text.slice(at + length, end).replace(/\S*$/, "…") : text.slice(at + length);
    return [before, marked, after];
  }

  const index = new MiniSearch({ fields: ["title", "page", "text"], storeFields: ["title", "page", "text", "address"] });
  index.addAll(lecture17Sections.map((section, id) => ({ id, ...section })));
  const options = { combineWith: "AND", prefix: true, fuzzy: 0.2, boost: { title: 4, page: 2 } };
  const results = query ? index.search(query, options) : [];
  for (const { title, page, text, address, terms } of results.slice(0, MOST)) {
    const link = made("a", { href: address, textContent: title === page ? page : `${page} › ${title}` });
    list.append(made("li", {}, link, made("p", {}, ...excerpt(text, terms))));
  }
  const n = results.length;
  told.textContent = query
    ? `${n || "No"} section${n === 1 ? "" : "s"} found for “${query}”.${n > MOST ? ` Here are the best ${MOST}.` : ""}`
    : "Type what you look for into the search field of the menu.";
})();
