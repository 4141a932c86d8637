"""`python -m tests.fuzz.sanitized --cases N`: the fuzzer over a reader built to watch its memory.

Copies the tree, builds `scan.c` there under AddressSanitizer and UBSan, and runs the campaign on
it: any octet read outside its bounds ends the run. Part of `make fuzz`; needs gcc.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

TREE: Final = Path(__file__).resolve().parents[2]
FLAGS: Final = (
    "-O1",
    "-g",
    "-fPIC",
    "-shared",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)


def build(tree: Path) -> None:
    """The extension in `tree`, in place of any other."""
    package = tree / "router/xmpp/reader"
    for other in package.glob("_scan.*.so"):
        other.unlink()
    target = package / f"_scan{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = f"-I{sysconfig.get_paths()['include']}"
    command = ["gcc", *FLAGS, include, str(package / "scan.c"), "-o", str(target)]
    subprocess.run(command, check=True)


def run(tree: Path, arguments: list[str]) -> int:
    """Exit status of Python with these arguments in `tree`, under the sanitizer."""
    found = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    environment = {
        **os.environ,
        "LD_PRELOAD": found.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",  # CPython keeps much to its end
        "PYTHONMALLOC": "malloc",  # or an overrun stays inside an arena and is not seen
        "CAUSEWAY_READER": "compiled",
    }
    return subprocess.run([sys.executable, *arguments], cwd=tree, env=environment).returncode


def main() -> int:
    """Exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=50_000)
    options.add_argument("--seed", default="")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="causeway-sanitized-") as directory:
        tree = Path(directory)
        for name in ("router", "tests"):
            shutil.copytree(TREE / name, tree / name)
        build(tree)
        seed = ["--seed", chosen.seed] if chosen.seed else []
        campaign = ["-m", "tests.fuzz.campaign", "--cases", str(chosen.cases), "--seconds", "0"]
        return run(tree, [*campaign, *seed])


if __name__ == "__main__":
    sys.exit(main())
