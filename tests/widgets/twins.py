"""What the browser computes, beside what Python computes: the bundle run by Node on the same settings."""

import json
import math
import random
import shutil
import subprocess
from dataclasses import asdict
from typing import Any

import numpy as np

from lecture17.widgets.explorer import BUNDLE_FILE, Explorer
from tests.npm import missing

RUN = """
const { name, given, asked } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const { settle, compute, describe, headline } = lecture17.EXPLORERS[name];
const plain = (_, value) =>
  ArrayBuffer.isView(value) ? Array.from(value)
  : typeof value === "number" && !Number.isFinite(value) ? String(value)
  : value;
const shown = asked.map((settings) => {
  const params = settle(settings, given);
  const result = compute(params, given);
  return { params, result, words: describe(params, result, given), headline: headline(params, result, given) };
});
process.stdout.write(JSON.stringify(shown, plain));
"""


def any_settings(explorer: type[Explorer], count: int, seed: int = 0) -> list[Any]:
    """Params with every control anywhere, and at one of its ends in one case of three; not made to fit each other."""
    rng = random.Random(seed)

    def value(control: Any) -> Any:
        if control.kind in ("choice", "check"):
            return rng.choice(control.options or (False, True))
        if control.doubles and rng.random() < 2 / 3:
            return round(2 ** rng.uniform(math.log2(control.low), math.log2(control.high)))
        n_steps = round((control.high - control.low) / control.step)
        k = rng.choice([0, n_steps]) if rng.random() < 1 / 3 else rng.randrange(n_steps + 1)
        return control.checked(round(control.low + k * control.step, 9))

    return [type(explorer.start)(**{c.name: value(c) for c in explorer.controls}) for _ in range(count)]


def in_browser(explorer: type[Explorer], asked: list[Any], data: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """For each Params what the browser makes of it: `params` that fit each other, `result`, `words` and `headline`.

    `data` is what the kernel has found out.
    """
    given = {**explorer.given, **(data or {})}
    return shown_by_browser(explorer.__name__, given, [asdict(params) for params in asked])


def shown_by_browser(name: str, given: dict[str, Any], asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same of settings and data as they travel to the browser."""
    node = shutil.which("node")
    if node is None:
        missing("node was not found, so what the browser computes was not compared")
    done = subprocess.run(
        [str(node), "-e", f"require({json.dumps(str(BUNDLE_FILE))});{RUN}"],
        input=json.dumps({"name": name, "given": given, "asked": asked}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    shown: list[dict[str, Any]] = json.loads(done.stdout)
    return shown


def assert_close(name: str, browser: Any, python: Any, atol: float = 1e-9) -> None:
    """Numbers of the browser, nested lists of them, against an array."""
    np.testing.assert_allclose(np.array(browser, dtype=float), python, rtol=1e-9, atol=atol, err_msg=name)
