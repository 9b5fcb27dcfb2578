"""A box for a prompt, and the text that a model writes after it, shown as it comes. Introduced in 05c_language."""

import time
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

import ipywidgets

from .front import LIVE, Shown

_EVERY = 0.05  # seconds between two updates of a growing text
_LINES = 12  # of the text in a still


UNCUT = {"description_width": "initial"}  # labels are not cut


class PromptBox(Shown, ipywidgets.VBox):
    """`write(name, prompt, temperature)` yields a text in pieces; in JupyterLab a box asks for all three.

    The last expression of a cell shows itself. Where nobody can type (nbconvert, nbval, a web page), it shows the
    beginning of what the first of `names` writes after `prompt`; without a kernel, the beginning of the text that was
    written last.
    """

    def __init__(
        self,
        write: Callable[[str, str, float], Iterator[str]],
        names: Sequence[str],
        *,
        prompt: str,
        temperature: float = 0.7,
    ) -> None:
        self.write, self.written = write, prompt
        self.prompt = ipywidgets.Text(prompt, description="Prompt", style=UNCUT)
        self.name = ipywidgets.Dropdown(options=list(names), description="Model", style=UNCUT)
        self.heat = ipywidgets.FloatSlider(
            temperature, min=0, max=1.5, step=0.1, description="Temperature", style=UNCUT
        )
        self.button = ipywidgets.Button(description="Write", tooltip="Write after the prompt")
        self.text = ipywidgets.HTML()
        super().__init__([self.prompt, self.name, self.heat, self.button, self.text])
        self.add_class(LIVE)
        self.button.on_click(self._press)

    def _pieces(self) -> Iterator[str]:
        return self.write(self.name.value, self.prompt.value, self.heat.value)

    def _press(self, _: Any) -> None:
        """Write, and show the text as it grows."""
        self.button.disabled, looked, self.written = True, 0.0, self.prompt.value
        try:
            for piece in self._pieces():
                self.written += piece
                if time.monotonic() - looked > _EVERY:
                    self.text.value, looked = _framed(self.written), time.monotonic()
        except Exception as error:  # ipywidgets would put it into a log that nobody sees
            self.written += f"\n\n{type(error).__name__}: {error}"
        self.text.value = _framed(self.written)
        self.refresh()
        self.button.disabled = False

    def still(self) -> dict[str, str]:
        lines = "\n".join(line.rstrip() for line in self.written.splitlines()[:_LINES])
        title = f"{self.name.value} at temperature {self.heat.value:g}, after “{self.prompt.value}”"
        shown = f"**{title}**\n\n````text\n{lines}\n````\n\nRun this cell to type a prompt of your own."
        return {"text/markdown": shown, "text/plain": f"{title}:\n{lines}"}

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        self.written = self.prompt.value + "".join(self._pieces())
        return super()._repr_mimebundle_()


def _framed(text: str) -> str:
    return f'<pre style="white-space: pre-wrap">{escape(text)}</pre>'
