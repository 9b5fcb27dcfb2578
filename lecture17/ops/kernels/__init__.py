"""Triton kernels behind `backend="triton"`, forward and backward: those of ssd, gla and rwkv7.

Each module holds the kernels of one mixer and one operator, registered with torch.library, so that torch.compile sees
one operator and not what is inside. Triton is there for Linux alone. Without a GPU they run in Triton's interpreter
(set TRITON_INTERPRET=1 before Python starts) and compile for chips that are not there (`report`).
"""

MISSING = (
    "Triton is not installed. It is made for Linux: there, run `make lab` again, or `pip install -c constraints.txt "
    "-e .` in the course's folder. On macOS and Windows, open the folder in its development container (.devcontainer, "
    "with Docker), or on Windows in WSL. Without it, read on with the stored outputs; all other parts run as they are."
)
