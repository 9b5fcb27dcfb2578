/** A new element with these properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** The parts of a legend: [text, color] pairs. */
export function swatches(named) {
  return named.map(([text, color]) => {
    const part = element("span", { textContent: text });
    part.style.setProperty("--of", color);
    return part;
  });
}
