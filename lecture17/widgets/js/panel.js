// A panel: a title, a canvas for matrices, and over it an SVG with axes, lines and marks. Sizes are in CSS pixels.
import { axisBottom, axisLeft } from "d3-axis";
import { scaleLinear, scaleLog } from "d3-scale";
import { select } from "d3-selection";
import { curveLinear, curveStep, line } from "d3-shape";

import { palette } from "./colors.js";

const SCALES = { linear: scaleLinear, log: scaleLog };

export class Panel {
  /**
   * `parent` gets a figure of `width` by `height`. `x` and `y` are { label, domain, ticks, format, scale }; without ticks
   * an axis has none. `margin` is [top, right, bottom, left].
   */
  constructor(parent, { width, height, title = "", x = {}, y = {}, margin = [4, 8, 34, 42], describe = "" }) {
    const [top, right, bottom, left] = margin;
    this.figure = select(parent).append("figure").attr("class", "panel").style("width", `${width}px`);
    this.title = this.figure.append("figcaption").text(title);
    const stage = this.figure.append("div").attr("class", "stage").style("aspect-ratio", `${width} / ${height}`);
    this.canvas = stage.append("canvas").node();
    this.svg = stage.append("svg").attr("viewBox", `0 0 ${width} ${height}`).attr("aria-hidden", "true");
    this.area = { left, top, width: width - left - right, height: height - top - bottom };
    Object.assign(this.canvas.style, {
      left: `${(100 * left) / width}%`,
      top: `${(100 * top) / height}%`,
      width: `${(100 * this.area.width) / width}%`,
      height: `${(100 * this.area.height) / height}%`,
    });
    this.size = { width, height };
    this.x = SCALES[x.scale ?? "linear"](x.domain ?? [0, 1], [left, left + this.area.width]);
    this.y = SCALES[y.scale ?? "linear"](y.domain ?? [0, 1], [top + this.area.height, top]);
    this.axes = { x: this._axis(axisBottom(this.x), x), y: this._axis(axisLeft(this.y), y) };
    this.axes.x.group.attr("transform", `translate(0,${top + this.area.height})`);
    this.axes.y.group.attr("transform", `translate(${left},0)`);
    const label = (text) => this.svg.append("text").attr("class", "label").attr("text-anchor", "middle").text(text ?? "");
    this.labels = {
      x: label(x.label).attr("x", left + this.area.width / 2).attr("y", height - 4),
      y: label(y.label).attr("transform", `translate(11,${top + this.area.height / 2}) rotate(-90)`),
    };
    this.marks = this.svg.append("g");
    this.stage = stage.node();
    if (describe) this.stage.setAttribute("aria-label", describe);
  }

  _axis(axis, { ticks, format }) {
    const group = this.svg.append("g").attr("class", "axis");
    if (format) axis.tickFormat(format);
    axis.tickSize(4).tickPadding(3);
    const shown = { axis, group };
    this._show(shown, ticks ?? []);
    return shown;
  }

  _show({ axis, group }, ticks) {
    if (Array.isArray(ticks)) axis.tickValues(ticks);
    else axis.tickValues(null).ticks(ticks);
    group.call(axis).attr("font-size", null).attr("font-family", null);
  }

  /** New domains, and ticks: a list of values, or about how many. */
  domain({ x, y, xticks, yticks }) {
    const asked = JSON.stringify([x, y, xticks, yticks]);
    if (asked === this.asked) return;
    this.asked = asked;
    if (x) this.x.domain(x);
    if (y) this.y.domain(y);
    if (x || xticks) this._show(this.axes.x, xticks ?? 4);
    if (y || yticks) this._show(this.axes.y, yticks ?? 4);
  }

  /** Draw a matrix over the whole area; its values, divided by `limit`, go from -1 or 0 to 1. */
  matrix(rows, limit, kind, paper) {
    const [height, width] = [rows.length, rows[0].length];
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const context = this.canvas.getContext("2d");
    if (!context) return;
    const colors = palette(kind, paper);
    const image = context.createImageData(width, height);
    const scale = limit ? 255 / limit : 0;
    for (let i = 0, at = 0; i < height; i += 1) {
      for (let j = 0; j < width; j += 1, at += 4) {
        const color = 3 * (255 + Math.max(-255, Math.min(255, Math.round(rows[i][j] * scale))));
        image.data[at] = colors[color];
        image.data[at + 1] = colors[color + 1];
        image.data[at + 2] = colors[color + 2];
        image.data[at + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
  }

  /** Elements of one kind under a name: as many as there are data, each with these attributes (functions of a datum). */
  draw(name, tag, data, attributes, text) {
    const shapes = this.marks
      .selectAll(`.${name}`)
      .data(data)
      .join((enter) => enter.append(tag).attr("class", name));
    for (const [attribute, value] of Object.entries(attributes)) shapes.attr(attribute, value);
    if (text) shapes.text(text);
    return shapes;
  }

  /** A line through points [x, y] in the units of the axes; with `step`, as steps around each. Gaps where y is NaN. */
  line(name, points, { color = "currentColor", dash = null, width = 1.8, step = false } = {}) {
    const path = line((p) => this.x(p[0]), (p) => this.y(p[1]))
      .defined((p) => Number.isFinite(this.y(p[1])))
      .curve(step ? curveStep : curveLinear);
    const look = { d: path, fill: "none", stroke: color, "stroke-width": width, "stroke-dasharray": dash };
    return this.draw(name, "path", [points], look);
  }

  /** Dots at points [x, y]; hollow ones with `hollow`. */
  dots(name, points, { color = "currentColor", radius = 3, hollow = false } = {}) {
    const shown = points.filter((p) => Number.isFinite(this.y(p[1])));
    const fill = hollow ? "none" : color;
    const look = { cx: (p) => this.x(p[0]), cy: (p) => this.y(p[1]), r: radius, fill, stroke: color, "stroke-width": 1.5 };
    return this.draw(name, "circle", shown, look);
  }

  /** A rectangle between corners, in the units of the axes. */
  frame(name, [[x0, y0], [x1, y1]], { color = "currentColor", width = 2.5, fill = "none" } = {}) {
    const [left, right] = [this.x(x0), this.x(x1)].sort((a, b) => a - b);
    const [top, bottom] = [this.y(y0), this.y(y1)].sort((a, b) => a - b);
    const place = { x: left, y: top, width: right - left, height: bottom - top };
    return this.draw(name, "rect", [0], { ...place, fill, stroke: color, "stroke-width": width });
  }

  /** A thin border of the area. */
  outline() {
    const { left, top, width, height } = this.area;
    this.draw("outline", "rect", [0], { x: left, y: top, width, height, fill: "none", stroke: "currentColor", opacity: 0.35 });
  }

  /** The place of a pointer event, in the units of the axes. */
  at(event) {
    const box = this.stage.getBoundingClientRect();
    const x = ((event.clientX - box.x) / box.width) * this.size.width;
    const y = ((event.clientY - box.y) / box.height) * this.size.height;
    return [this.x.invert(x), this.y.invert(y)];
  }

  /**
   * What a pointer does here. `hover(x, y)` as it moves, `hover(null)` as it leaves; `grab(x, y)` as it is pressed says by
   * returning a function (x, y) what dragging does; `cursor(x, y)` names the shape of the cursor; `touch` says what a
   * finger that drags may do besides, as the CSS property touch-action.
   */
  pointer({ hover, grab, cursor, touch = "none" }) {
    let drag = null;
    this.stage.addEventListener("pointerdown", (event) => {
      hover?.(...this.at(event));
      drag = grab?.(...this.at(event)) ?? null;
      if (drag) {
        this.stage.setPointerCapture(event.pointerId);
        event.preventDefault();
      }
    });
    this.stage.addEventListener("pointermove", (event) => {
      const place = this.at(event);
      if (drag) drag(...place);
      else if (cursor) this.stage.style.cursor = cursor(...place) ?? "";
      hover?.(...place);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) this.stage.addEventListener(end, () => (drag = null));
    this.stage.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && hover?.(null)); // a tap reads on
    if (!grab) return;
    this.stage.classList.add("touchable");
    this.stage.style.touchAction = touch;
  }

  /** Arrow keys on this panel: `move(dx, dy)` with steps of one, right and down positive. */
  arrows(name, move) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    Object.assign(this.stage, { tabIndex: 0 });
    this.stage.setAttribute("role", "application");
    this.stage.setAttribute("aria-roledescription", "picture moved by arrow keys");
    this.stage.setAttribute("aria-label", name);
    this.stage.addEventListener("keydown", (event) => {
      if (!(event.key in steps)) return;
      move(...steps[event.key]);
      event.preventDefault();
    });
  }
}
