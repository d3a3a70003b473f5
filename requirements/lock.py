"""Resolve pyproject.toml into the hashed locks beside this file, for every platform, naming no host.

Run by `make lock`. `dev.txt` is resolved first and the others take its versions, so that all three agree in
one environment.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OPTIONS = (
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--upgrade",
    "--quiet",
    "--no-config",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
)
DEV = HERE / "dev.txt"
LOCKS = {
    DEV: ("--extra=parquet", "--group=dev"),
    HERE / "runtime.txt": (f"--constraints={DEV}",),
    HERE / "bench.txt": ("--extra=parquet", "--group=bench", f"--constraints={DEV}"),
}


def main() -> None:
    """Write every lock and refuse one that names a host."""
    for path, selection in LOCKS.items():
        command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", *OPTIONS, *selection]
        subprocess.run([*command, f"--output-file={path}"], cwd=ROOT, check=True)
        if "://" in path.read_text(encoding="utf-8"):
            sys.exit(f"{path.name} names a host: every dependency must come from the default index by hash")


if __name__ == "__main__":
    main()
