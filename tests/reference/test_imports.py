"""The reference is NumPy alone, and the package returns at once."""

import pkgutil
import subprocess
import sys

import lecture17.reference


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_reference_loads_neither_torch_nor_matplotlib() -> None:
    names = [module.name for module in pkgutil.iter_modules(lecture17.reference.__path__)]
    assert {"ssd", "rwkv7", "wkv4", "scan2d"} <= set(names)
    imports = ", ".join(f"lecture17.reference.{name}" for name in names)
    loaded = run(f"import sys, {imports}; print(*sys.modules)").split()
    assert "lecture17.reference.ssd" in loaded
    assert not {"torch", "matplotlib", "scipy", "ipywidgets"} & set(loaded)


def test_importing_the_package_takes_less_than_three_tenths_of_a_second() -> None:
    code = "import time; start = time.perf_counter(); import lecture17; print(time.perf_counter() - start)"
    assert min(float(run(code)) for _ in range(3)) < 0.3
