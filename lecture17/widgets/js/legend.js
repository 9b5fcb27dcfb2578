// A legend under the panels: what their colors and marks mean.
import { element } from "./element.js";

/** Returns what shows new entries [text, color, mark]; without a mark, a patch of the color stands before the text. */
export function legend(parent) {
  const box = parent.appendChild(element("p", { className: "legend" }));
  return (entries) =>
    box.replaceChildren(
      ...entries.map(([text, color, mark]) => {
        const part = element("span", { textContent: text });
        part.style.setProperty("--of", color);
        if (mark) part.dataset.mark = mark;
        return part;
      }),
    );
}
