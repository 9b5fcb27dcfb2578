"""A box for a prompt, and the text that a model writes after it, shown as it comes. Introduced in 05c_language."""

import time
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

import ipywidgets

from ._front import LIVE, Shown

_EVERY = 0.05  # seconds between two updates of a growing text
_LINES = 12  # of the text in a still


class PromptBox:
    """`write(name, prompt, temperature)` yields a text in pieces; in JupyterLab a box asks for all three.

    The last expression of a cell shows itself. Where nobody can type (nbconvert, nbval, a web page), it shows the
    beginning of what the first of `names` writes after `prompt`; without a kernel, the beginning of the last text.
    """

    def __init__(
        self,
        write: Callable[[str, str, float], Iterator[str]],
        names: Sequence[str],
        *,
        prompt: str,
        temperature: float = 0.7,
    ) -> None:
        self.write, self.names, self.prompt, self.temperature = write, list(names), prompt, temperature
        self.shown = Shown()

    def widget(self) -> ipywidgets.VBox:
        """The controls, and below them the text, which grows while it is being written."""
        prompt = ipywidgets.Text(self.prompt, description="Prompt")
        name = ipywidgets.Dropdown(options=self.names, description="Model")
        heat = ipywidgets.FloatSlider(self.temperature, min=0, max=1.5, step=0.1, description="Temperature")
        button = ipywidgets.Button(description="Write", tooltip="Write after the prompt")
        text = ipywidgets.HTML()

        def press(_: Any) -> None:
            button.disabled, looked, pieces = True, 0.0, prompt.value
            try:
                for piece in self.write(name.value, prompt.value, heat.value):
                    pieces += piece
                    if time.monotonic() - looked > _EVERY:
                        text.value, looked = _framed(pieces), time.monotonic()
            except Exception as error:  # ipywidgets would hide it in a log
                pieces += f"\n\n{type(error).__name__}: {error}"
            text.value = _framed(pieces)
            self.shown.refresh(_still(name.value, heat.value, prompt.value, pieces))
            button.disabled = False

        button.on_click(press)
        box = ipywidgets.VBox([prompt, name, heat, button, text])
        box.add_class(LIVE)
        return box

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        text = self.prompt + "".join(self.write(self.names[0], self.prompt, self.temperature))
        return _still(self.names[0], self.temperature, self.prompt, text)

    def _ipython_display_(self) -> None:
        nothing = _still(self.names[0], self.temperature, self.prompt, self.prompt)
        self.shown.show(nothing, self.widget()._repr_mimebundle_())


def _still(name: str, temperature: float, prompt: str, text: str) -> dict[str, str]:
    lines = "\n".join(line.rstrip() for line in text.splitlines()[:_LINES])
    title = f"{name} at temperature {temperature:g}, after “{prompt}”"
    shown = f"**{title}**\n\n````text\n{lines}\n````\n\nRun this cell to type a prompt of your own."
    return {"text/markdown": shown, "text/plain": f"{title}:\n{lines}"}


def _framed(text: str) -> str:
    return f'<pre style="white-space: pre-wrap">{escape(text)}</pre>'
