"""A move of an explorer is answered beside the cell that is running, and changes nothing of what that cell draws."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

SHOW = """
import threading, time
import matplotlib as mpl
from lecture17 import widgets
explorer = widgets.TwoViews()
drawn = []
draw = type(explorer).draw
type(explorer).draw = lambda self: drawn.append(threading.current_thread()) or draw(self)
display(explorer)
explorer.comm._reply_subshell_for = lambda data, asked: asked  # as in ipykernel before 7.4
mpl.rcParams["font.size"] = 17
settings = dict(mpl.rcParams)
del drawn[:]
"""
WATCH = """
end, changed = time.monotonic() + 3, set()
while time.monotonic() < end:
    changed |= {name for name in settings if mpl.rcParams[name] != settings[name]}
print(sorted(changed), len(drawn))
"""
AFTER = """
print([thread is threading.main_thread() for thread in drawn], dict(mpl.rcParams) == settings)
"""


@pytest.fixture
def client() -> Iterator[BlockingKernelClient]:
    """A kernel, with a connection to it."""
    manager, client = start_new_kernel()
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def begin(client: BlockingKernelClient, code: str) -> str:
    """Ask for a cell to be run, as a front end does that says which cell it is."""
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
    message = client.session.msg("execute_request", content, metadata={"cellId": "a"})
    client.shell_channel.send(message)
    return str(message["header"]["msg_id"])


def printed(client: BlockingKernelClient, asked: str) -> str:
    """What that cell printed, once it has ended."""
    text = ""
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") == asked:
            assert message["msg_type"] != "error", message["content"]
            text += message["content"].get("text", "") if message["msg_type"] == "stream" else ""
            if message["content"].get("execution_state") == "idle":
                return text


def ask_control(client: BlockingKernelClient, kind: str) -> dict[str, Any]:
    client.control_channel.send(client.session.msg(kind, {}))
    content: dict[str, Any] = client.get_control_msg(timeout=60)["content"]
    return content


def test_a_still_is_drawn_between_cells_and_touches_no_setting_of_a_cell(client: BlockingKernelClient) -> None:
    printed(client, begin(client, SHOW))
    comm = printed(client, begin(client, "print(explorer.comm.comm_id)")).strip()
    moved = {"comm_id": comm, "data": {"method": "custom", "content": {"rest": True}}}
    beside = ask_control(client, "create_subshell_request")["subshell_id"]
    watching = begin(client, WATCH)
    time.sleep(0.5)
    for _ in range(3):
        message = client.session.msg("comm_msg", moved)
        message["header"]["subshell_id"] = beside
        client.shell_channel.send(message)
    assert printed(client, watching) == "[] 0\n"
    assert printed(client, begin(client, AFTER)) == "[True, True, True] True\n"
