// What the theme leaves out for those who use a keyboard or a screen reader; and the diagrams.
const scrollable = () => {
  for (const block of document.querySelectorAll("pre, .table-wrapper, .math, .cell_output"))
    if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
};
for (const caption of document.querySelectorAll(".sidebar-tree .caption")) caption.ariaLevel = 2;
for (const fold of document.querySelectorAll("summary[aria-label]")) fold.removeAttribute("aria-label"); // it has words
document.querySelector(".sidebar-drawer").ariaLabel = "Pages of the course";
window.addEventListener("load", scrollable);
window.addEventListener("resize", scrollable);
if (window.lecture17) {
  for (const host of document.querySelectorAll("[data-explorer]")) host.dataset.address = ""; // settings can be shared
  lecture17.wake();
}
if (window.mermaid) {
  mermaid.initialize({ startOnLoad: false, theme: "neutral", flowchart: { useMaxWidth: false } });
  mermaid.run().then(scrollable);
}
