"""A box for a prompt, and the text that models write after it, as it comes. Introduced in 05c_language."""

import time
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

import ipywidgets

from ._front import somebody_watches

_EVERY = 0.05  # seconds between two looks at a growing text
_LINES = 12  # of a text where it stands still


class PromptBox:
    """`write(name, prompt, temperature)` yields a text in pieces; in JupyterLab a box asks for all three.

    As the last expression of a cell it shows itself. Where nobody can type (nbconvert, nbval, a web page) that is the
    beginning of what the first of `names` writes after `prompt`, and a line that says so.
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

    def widget(self) -> ipywidgets.VBox:
        """The controls, and the text below them, which grows while it is written."""
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
            except Exception as error:  # ipywidgets would put it into a log that nobody sees
                pieces += f"\n\n{type(error).__name__}: {error}"
            text.value = _framed(pieces)
            button.disabled = False

        button.on_click(press)
        return ipywidgets.VBox([prompt, name, heat, button, text])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        if somebody_watches():
            bundle: dict[str, Any] = self.widget()._repr_mimebundle_(**kwargs)
            return bundle
        text = self.prompt + "".join(self.write(self.names[0], self.prompt, self.temperature))
        lines = "\n".join(line.rstrip() for line in text.splitlines()[:_LINES])
        title = f"{self.names[0]} at temperature {self.temperature:g}, after “{self.prompt}”"
        shown = f"**{title}**\n\n````text\n{lines}\n````\n\nRun this cell to type a prompt of your own."
        return {"text/markdown": shown, "text/plain": f"{title}:\n{lines}"}


def _framed(text: str) -> str:
    return f'<pre style="white-space: pre-wrap">{escape(text)}</pre>'
